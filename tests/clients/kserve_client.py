"""kserve_client.py URL MODEL ROWS - KServe's own client, V1 and V2; prints one JSON line."""
import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def ask_v1(url, model, rows):
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_model_ready(url, model),
        "predictions": (await client.infer(url, {"instances": rows},
                                           model_name=model))["predictions"],
    }


async def ask_v2(url, model, rows):
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    tensor = InferInput("input", [len(rows), len(rows[0])], "FP32")
    tensor.set_data_from_numpy(np.array(rows, dtype=np.float32))
    request = InferRequest(model_name=model, infer_inputs=[tensor])
    reply = await client.infer(url, request, model_name=model)
    return {
        "live": await client.is_server_live(url),
        "server_ready": await client.is_server_ready(url),
        "ready": await client.is_model_ready(url, model),
        "predictions": reply.outputs[0].as_numpy().tolist(),
    }


async def main(url, model, rows):
    print(json.dumps({"v1": await ask_v1(url, model, rows), "v2": await ask_v2(url, model, rows)}))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
