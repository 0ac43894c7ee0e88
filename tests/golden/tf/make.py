"""half_plus_two, the model of TensorFlow Serving's examples, as a SavedModel and as ONNX.

    python3 -m venv VENV && VENV/bin/pip install tensorflow-cpu==2.15.1 tf2onnx==1.16.1 "onnx<1.17"
    VENV/bin/python tests/golden/tf/make.py
"""
import pathlib
import subprocess
import sys
import tempfile

import tensorflow as tf

TARGET = pathlib.Path(__file__).with_name("half_plus_two.onnx")


class HalfPlusTwo(tf.Module):
    """y = x / 2 + 2, for a batch of numbers."""

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])
    def serve(self, x):
        return {"y": x * 0.5 + 2.0}


with tempfile.TemporaryDirectory() as folder:
    model = HalfPlusTwo()
    tf.saved_model.save(model, folder, signatures={"serving_default": model.serve})
    subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", folder, "--output",
                    str(TARGET)], check=True)
