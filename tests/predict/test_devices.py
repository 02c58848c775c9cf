import csv
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_two_processes_write_each_row_once_in_order_and_go_on_after_a_kill(checkpoint, images, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in [*images, "bad.jpg"]))

    def predict(devices, output, *words):
        more = ["--trainer.accelerator", "cpu", "--trainer.devices", str(devices), "--batch_size", "5"]
        options = ["--num_workers", "1", "--output", output, "--features", f"{output}.npy", *words]
        command = [sys.executable, "-m", "mlic", "predict", "--ckpt_path", str(checkpoint), "list.txt", *options, *more]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ended.returncode == 0, ended.stderr

    predict(1, "one.csv")
    predict(2, "two.csv")
    one, two = ((tmp_path / f"{name}.csv") for name in ("one", "two"))
    with one.open(newline="") as stream, two.open(newline="") as other:
        for left, right in zip(csv.DictReader(stream), csv.DictReader(other), strict=True):
            assert [left[name] for name in ("path", "labels", "error")] == [
                right[name] for name in ("path", "labels", "error")
            ]
            if not left["error"]:
                assert float(left["red"]) == pytest.approx(float(right["red"]), abs=2e-5)
    whole, features = two.read_bytes(), (tmp_path / "two.csv.npy").read_bytes()
    two.write_bytes(whole[: len(whole) // 2])
    predict(2, "two.csv", "--resume")
    assert two.read_bytes() == whole
    assert (tmp_path / "two.csv.npy").read_bytes() == features


@pytest.mark.slow
def test_one_image_on_two_processes_has_one_row(checkpoint, images, tmp_path):
    command = [sys.executable, "-m", "mlic", "predict", "--ckpt_path", str(checkpoint), images[0]]
    more = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--num_workers", "0"]
    ended = subprocess.run([*command, *more], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 2


def test_a_trainer_gives_what_lanes_give(classifier, images):
    import pytorch_lightning as pl

    from mlic.predict import Predictor

    trainer = pl.Trainer(accelerator="cpu", devices=1, precision="bf16-mixed", logger=False, enable_progress_bar=False)
    on_device = Predictor(classifier, batch_size=5, num_workers=0, trainer=trainer)
    assert on_device.engine_name == "trainer"
    rows = []
    assert on_device.write(images[:13], rows.append, done=7) == (6, 0)
    for left, right in zip(rows, Predictor(classifier).predict(images[:13])[7:], strict=True):
        assert left.path == right.path
        assert left.scores == pytest.approx(right.scores, abs=0.05)
