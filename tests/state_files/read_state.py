import json
import sys

from safetensors import safe_open

with safe_open(sys.argv[1], framework="numpy") as file:
    record = json.loads(file.metadata()["adamax"])
    for name, tensor in record["tensors"].items():
        rule = record["groups"][tensor["group"]]
        m, u = (file.get_tensor(f"{part}/{name}") for part in ("first_moment", "inf_norm"))
        # A table whose rows have their own counters has them in an array.
        steps = tensor["steps"] if "steps" in tensor else file.get_tensor(f"row_steps/{name}")
        print(name, m.dtype, m.shape, "after", steps, "steps at", rule["learning_rate"])
