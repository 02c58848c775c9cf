"""`Predictor`: a trained model and images to scores and labels, however many; imports torch only for a checkpoint."""

from mlic.predict.inputs import Inputs, find_images
from mlic.predict.parquet import ParquetWriter
from mlic.predict.prediction import Prediction, Shown, Writable
from mlic.predict.predictor import Predictor
from mlic.predict.sources import Source
from mlic.predict.writers import CsvWriter, JsonlWriter, TextWriter

__all__ = [
    "CsvWriter",
    "Inputs",
    "JsonlWriter",
    "ParquetWriter",
    "Prediction",
    "Predictor",
    "Shown",
    "Source",
    "TextWriter",
    "Writable",
    "find_images",
]
