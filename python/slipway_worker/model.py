"""The user's code: found, loaded, and called in the form it wants.

    Model                 a class: Model(), load(folder) and predict(x), or Model(folder)
    load, predict         functions: predict(load(folder), x)
    load                  a function whose result has predict or predict_proba, as scikit-learn's
    predict               a function: predict(x)
"""
import importlib
import inspect
import sys

from slipway_worker import InputError, tensors


class EntryError(Exception):
    """The folder does not have what its slipway.yaml names."""


def positional_count(function):
    """How many arguments it takes by position; None when that cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def takes_parameters(function):
    try:
        return "parameters" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def best_method(model, class_count):
    names = ("predict_proba", "predict") if class_count > 1 else ("predict",)
    for name in names:
        if hasattr(model, name):
            return getattr(model, name)
    if callable(model):
        return model
    raise EntryError(f"what load() returned, {type(model).__name__}, has no predict")


def from_class(cls, folder, class_count):
    takes_folder = positional_count(cls) not in (0, None)
    model = cls(folder) if takes_folder else cls()
    if hasattr(model, "load"):
        loaded = model.load(folder) if positional_count(model.load) != 0 else model.load()
        if not hasattr(model, "predict") and loaded is not None:
            model = loaded
    return best_method(model, class_count)


def from_module(module, function, folder, class_count):
    load = getattr(module, "load", None)
    if function is None and load is None:
        raise EntryError(f"{module.__name__}.py has neither a class Model nor functions load and "
                         "predict")
    if load is None:
        return function
    state = load(folder) if positional_count(load) != 0 else load()
    if function is None:
        return best_method(state, class_count)
    names_state = positional_count(function) or 1
    if names_state - takes_parameters(function) < 2:
        return function
    return lambda x, **more: function(state, x, **more)


def find(entry, folder, class_count):
    """The function that predicts, and the one whose signature tells what it takes."""
    module_name, _, name = entry.partition(":")
    sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.split(".")[0]:
            raise EntryError(f"the folder has no {module_name}.py") from None
        raise
    if name and not hasattr(module, name):
        raise EntryError(f"{module_name}.py has no {name}")
    target = getattr(module, name) if name else getattr(module, "Model", None)
    if inspect.isclass(target):
        function = from_class(target, folder, class_count)
        return function, function
    function = target if name else getattr(module, "predict", None)
    return from_module(module, function, folder, class_count), function


def as_text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


def plain_list(value):
    return value.tolist() if hasattr(value, "tolist") else value


class Model:
    """The user's model, between tensors and tensors."""

    def __init__(self, settings, folder):
        self.settings = settings
        self.inputs = settings["inputs"]
        self.outputs = [(o["name"], tensors.CODES[o["dtype"]], o["shape"])
                        for o in settings["outputs"]]
        self.features = settings.get("features")
        self.class_count = settings.get("classes", 1)
        self.form = {"matrix": self.as_matrix, "dicts": self.as_dicts,
                     "dataframe": self.as_dataframe, "tensors": self.as_tensors}[settings["form"]]
        self.pandas = importlib.import_module("pandas") if settings["form"] == "dataframe" else None
        self.function, told = find(settings["entry"], folder, self.class_count)
        self.takes_parameters = takes_parameters(told or self.function)

    # ---- what predict gets ----

    def as_tensors(self, given):
        return {self.inputs[index]["name"]: value for index, value in given}

    def as_matrix(self, given):
        return given[0][1]

    def columns(self, given):
        if not self.features:
            return {self.inputs[i]["name"]: [as_text(v) for v in plain_list(value)]
                    for i, value in given}
        rows = given[0][1]
        if tensors.numpy:
            return {name: rows[:, i] for i, name in enumerate(self.features)}
        return {name: [row[i] for row in rows] for i, name in enumerate(self.features)}

    def as_dicts(self, given):
        columns = self.columns(given)
        names = list(columns)
        return [dict(zip(names, row)) for row in zip(*(plain_list(c) for c in columns.values()))]

    def as_dataframe(self, given):
        return self.pandas.DataFrame(self.columns(given))

    # ---- what predict gives ----

    def by_output(self, result):
        """(index, value) of what came back: a mapping, a sequence in order, or the one output."""
        if isinstance(result, dict):
            names = [name for name, _, _ in self.outputs]
            for name in result:
                if name not in names:
                    raise tensors.OutputError(f"predict returned '{name}', which is no output; "
                                              f"declared are: {', '.join(names)}")
            return [(names.index(name), value) for name, value in result.items()]
        if len(self.outputs) == 1:
            return [(0, result)]
        if not isinstance(result, (tuple, list)) or len(result) > len(self.outputs):
            raise tensors.OutputError(f"predict returned one {type(result).__name__}; "
                                      f"{len(self.outputs)} outputs are declared")
        return list(enumerate(result))

    def second_class(self, value):
        """Probabilities of both classes where the second one's is meant."""
        if tensors.numpy:
            array = tensors.numpy.asarray(value)
            return array[:, 1] if array.ndim == 2 and array.shape[1] == 2 else array
        is_pair = value and isinstance(value[0], (list, tuple)) and len(value[0]) == 2
        return [row[1] for row in value] if is_pair else value

    def predict(self, given, wanted, parameters):
        """(index, dtype, shape, bytes) of each wanted output."""
        x = self.form(given)
        result = (self.function(x, parameters=parameters) if self.takes_parameters
                  else self.function(x))
        out = []
        for index, value in self.by_output(result):
            if not wanted >> index & 1:
                continue
            if index == 0 and self.class_count == 2 and self.features:
                value = self.second_class(value)
            name, dtype, shape = self.outputs[index]
            out.append((index, dtype, *tensors.write(value, name, dtype, shape)))
        return out


__all__ = ["EntryError", "InputError", "Model"]
