"""The same model as a runtime of MLServer, which has none for ONNX: the shortest that its
documentation shows, with the codecs it ships."""
import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Net(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options,
                                                    providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (scores,) = self.session.run(None, {"input": rows})
        return InferenceResponse(model_name=self.name, model_version="1",
                                 outputs=[NumpyCodec.encode_output("probabilities", scores)])
