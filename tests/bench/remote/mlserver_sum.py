"""A model of MLServer's own runtime interface: numbers and texts in, sums and texts out."""
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


class Sum(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        s = StringCodec.decode_input(payload.inputs[1])
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[
            NumpyCodec.encode_output("total", x.astype("f8").sum(axis=1)),
            StringCodec.encode_output("text", s)])
