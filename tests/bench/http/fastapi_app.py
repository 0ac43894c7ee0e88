"""What a team writes by hand for the same service: FastAPI, pydantic and the xgboost package.

MODEL names the model file. One row a request is the case that is measured.
"""
import os
import sys

# Another benchmark needs these in the same environment; xgboost would load them if it could, and a
# service would not install them.
sys.modules["pandas"] = sys.modules["sklearn"] = None

import numpy
import xgboost
from fastapi import FastAPI
from pydantic import BaseModel

booster = xgboost.Booster(model_file=os.environ["MODEL"])
booster.set_param({"nthread": 1})
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


@app.post("/v2/models/triage/infer")
async def infer(inference: Inference):
    tensor = inference.inputs[0]
    rows = numpy.array(tensor.data, dtype=numpy.float32).reshape(tensor.shape)
    scores = booster.inplace_predict(rows).tolist()
    output = {"name": "predict", "datatype": "FP32", "shape": [len(scores)], "data": scores}
    return {"model_name": "triage", "model_version": "2", "outputs": [output]}
