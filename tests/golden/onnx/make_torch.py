"""Networks that PyTorch has trained here and exported, with its own outputs.

    python3 tests/golden/onnx/make_torch.py        (any Python with torch 1.13 or newer and numpy)

writes torch_mlp and torch_conv beside itself, in the form of make.py: model.onnx, and a TensorProto
for each input and output. The committed files are PyTorch 1.13's.

torch_mlp has layers 8-16-16-3 and learns which of three numbers of a row is largest. torch_conv
learns whether an image of any size has vertical or horizontal bars. In both the batch, and of
images height and width, are dynamic axes.
"""
import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
STEPS, BATCH, OPSET, FLOAT = 150, 64, 14, 1


def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def proto(name, array):
    """onnx.TensorProto of FP32: dims 1, data_type 2, name 8, raw_data 9."""
    dims = b"".join(varint(1 << 3) + varint(size) for size in array.shape)
    return (dims + varint(2 << 3) + varint(FLOAT) + field(8, name.encode())
            + field(9, array.astype("<f4").tobytes()))


def write(name, model, x, axes):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    with torch.no_grad():
        y = model(x)
    torch.onnx.export(model, x, str(folder / "model.onnx"), opset_version=OPSET,
                      input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": axes, "y": {0: "batch"}})
    (folder / "input_0.pb").write_bytes(proto("x", x.numpy()))
    (folder / "output_0.pb").write_bytes(proto("y", y.numpy()))


def train(model, make):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        x, y = make(BATCH)
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = make(1000)
    model.eval()
    right = (model(x).argmax(1) == y).float().mean().item()
    print(f"{right:.3f} of 1000 new rows are right")


def numbers(count):
    x = torch.randn(count, 8)
    return x, x[:, :3].argmax(1)


def bars(count, height=12, width=12):
    y = torch.randint(0, 2, (count,))
    across = torch.arange(width) // 2 % 2 + torch.zeros(height, 1)
    along = (torch.arange(height) // 2 % 2).reshape(-1, 1) + torch.zeros(1, width)
    image = torch.where(y.reshape(-1, 1, 1).bool(), along, across)
    return (image + 0.3 * torch.randn(count, height, width)).unsqueeze(1), y


class Conv(nn.Module):
    """Convolutions with batch norm, then the mean over the image."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
                                    nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return torch.softmax(self.last(self.layers(x).mean((2, 3))), 1)


def main():
    torch.manual_seed(1)
    mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(),
                        nn.Linear(16, 3))
    train(mlp, numbers)
    write("torch_mlp", mlp, numbers(5)[0], {0: "batch"})
    conv = Conv()
    train(conv, bars)
    write("torch_conv", conv, bars(3, 10, 14)[0], {0: "batch", 2: "height", 3: "width"})


main()
