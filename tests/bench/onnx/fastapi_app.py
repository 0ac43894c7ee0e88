"""What a team writes by hand for the same service: FastAPI, pydantic and the onnxruntime package.

MODEL names the model file. One row a request is the case that is measured.
"""
import os

import numpy
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options,
                                       providers=["CPUExecutionProvider"])
app = FastAPI()


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float | None]


class Inference(BaseModel):
    id: str | None = None
    inputs: list[Tensor]


@app.get("/livez")
async def livez():
    return {"status": "ok"}


@app.post("/v2/models/net/infer")
async def infer(inference: Inference):
    tensor = inference.inputs[0]
    rows = numpy.array(tensor.data, dtype=numpy.float32).reshape(tensor.shape)
    (scores,) = session.run(None, {"input": rows})
    output = {"name": "probabilities", "datatype": "FP32", "shape": list(scores.shape),
              "data": scores.ravel().tolist()}
    return {"model_name": "net", "model_version": "1", "outputs": [output]}
