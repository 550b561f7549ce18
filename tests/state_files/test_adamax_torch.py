"""Tests of python/adamax_torch.py with the real PyTorch. Versions: requirements.txt beside this file.

    pip install -r requirements.txt
    python -W error test_adamax_torch.py

The files in exchange/ were written by the crate; exchange.py has the runs that are compared with those of the
crate. Here, PyTorch is compared with itself: a run that goes through a file has the bits of one that does not.
"""

import json
import math
import os
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors import safe_open

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python"))

import adamax_torch  # noqa: E402

STEPS = 5
# Of the groups, for schedulers that go up and down.
PEAKS = [0.04, 0.02, 0.01]


class Layouts(torch.nn.Module):
    """Parameters of every kind: 0-d, transposed, channels_last, empty, frozen, without a group."""

    def __init__(self, dtype=torch.float64):
        super().__init__()

        def values(*shape):
            return torch.rand(shape, dtype=dtype) - 0.5

        self.scalar = torch.nn.Parameter(values())
        self.transposed = torch.nn.Parameter(values(4, 3).t())
        self.kernel = torch.nn.Parameter(values(2, 3, 2, 2).to(memory_format=torch.channels_last))
        self.empty = torch.nn.Parameter(values(0, 2))
        self.late = torch.nn.Parameter(values(3))
        self.frozen = torch.nn.Parameter(values(2), requires_grad=False)
        self.outside = torch.nn.Parameter(values(2), requires_grad=False)


def groups_of(model):
    return [
        {"params": [model.scalar, model.kernel], "weight_decay": 0.1, "eps": 0.01},
        {"params": [model.transposed, model.empty], "lr": 0.005, "betas": (0.8, 0.99), "maximize": True},
        {"params": [model.late, model.frozen], "lr": 0.02},
    ]


def make(dtype=torch.float64, seed=0, order=(0, 1, 2), **settings):
    torch.manual_seed(seed)
    model = Layouts(dtype)
    groups = groups_of(model)
    return model, torch.optim.Adamax([groups[index] for index in order], lr=0.01, **settings)


def advance(model, optimizer, steps, scheduler=None, late=False):
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for name, p in model.named_parameters():
            random = torch.rand(p.shape, generator=generator, dtype=torch.float64) - 0.5
            p.grad = random.to(p.dtype) if p.requires_grad and (late or name != "late") else None
        optimizer.step()
        if scheduler:
            scheduler.step()


def content(model, optimizer):
    """Everything of a run, as bytes and numbers that can be compared. A missing state is one of zeros."""

    def exact(x):
        return x.dtype, x.shape, x.stride(), x.detach().reshape(-1).view(torch.uint8).tolist()

    names = {p: name for name, p in model.named_parameters()}
    found = {name: exact(p) for p, name in names.items()}
    for group in optimizer.param_groups:
        settings = {key: x for key, x in group.items() if key != "params"}
        for p in group["params"]:
            state = optimizer.state.get(p) or adamax_torch.fresh(p)
            found["of " + names.get(p, "another")] = settings, {key: exact(x) for key, x in state.items()}
    return found


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "run.safetensors"

    def file(self, change=None, **settings):
        """Writes a file of a run of STEPS steps, changes its record, and returns a new run to load it into."""
        run = make(**settings)
        advance(*run, range(STEPS))
        adamax_torch.save(self.path, *run)
        if change:
            self.change(change)
        return make(seed=1, **settings)

    def change(self, change):
        """Changes the record of the file at `path`, and leaves out the checksum."""
        with safe_open(self.path, framework="pt") as file:
            record = json.loads(file.metadata()["adamax"])
            arrays = {entry: file.get_tensor(entry) for entry in file.keys() if entry != "checksum"}
        change(record, arrays)
        adamax_torch.safetensors.save_file(arrays, self.path, {"adamax": json.dumps(record)})

    def record(self):
        with safe_open(self.path, framework="pt") as file:
            return json.loads(file.metadata()["adamax"])

    def refused(self, run, *messages, by_hand=(), load=True):
        """Nothing may change after an error: neither the run nor the file."""
        before, stamp = content(*run), self.path.exists() and self.path.read_bytes()
        state_keys = set(run[1].state)
        with self.assertRaises(ValueError) as caught:
            if load:
                adamax_torch.load(self.path, *run, by_hand=by_hand)
            else:
                adamax_torch.save(self.path, *run)
        text = str(caught.exception)
        self.assertIn(str(self.path), text)
        self.assertEqual(text.split("\n- ")[1:], list(messages))
        self.assertEqual(content(*run), before)
        self.assertEqual(set(run[1].state), state_keys)
        self.assertEqual(self.path.exists() and self.path.read_bytes(), stamp)
        self.assertLessEqual({entry.name for entry in self.path.parent.iterdir()}, {self.path.name})


class Runs(Case):
    def go_on(self, saved, loaded, **ways):
        """Saves one run after STEPS steps, loads it into the other, and finishes both."""
        advance(*saved, range(STEPS))
        adamax_torch.save(self.path, *saved)
        adamax_torch.load(self.path, *loaded)
        self.assertEqual(content(*loaded).keys(), content(*saved).keys())
        for run in (saved, loaded):
            advance(*run, range(STEPS, 2 * STEPS), late=True)
        for (name, p), (_, q) in zip(saved[0].named_parameters(), loaded[0].named_parameters(), strict=True):
            self.assertEqual(p.stride(), q.stride(), name)
            self.assertTrue(torch.equal(p, q), name)

    def test_a_run_through_a_file_has_the_same_bits(self):
        for dtype in (torch.float32, torch.float64):
            with self.subTest(dtype):
                saved, loaded = make(dtype), make(dtype, seed=1)
                self.go_on(saved, loaded)
                self.assertEqual(content(*loaded), content(*saved))

    def test_groups_may_have_another_order(self):
        saved, loaded = make(), make(seed=1, order=(2, 0, 1))
        self.go_on(saved, loaded)
        self.assertEqual(content(*loaded), content(*saved))

    def test_a_group_of_the_file_may_be_divided(self):
        saved = make()
        torch.manual_seed(1)
        model = Layouts()
        parameters = [[p] for p in model.parameters() if p is not model.outside]
        loaded = model, torch.optim.Adamax([{"params": p} for p in parameters])
        self.go_on(saved, loaded)
        self.assertEqual(content(*loaded), content(*saved))

    def test_flags_of_implementation_stay(self):
        for flags in (
            {"foreach": True},
            {"foreach": False},
            {"differentiable": True, "foreach": False},
            {"capturable": True, "foreach": False},
        ):
            with self.subTest(**flags):
                saved, loaded = make(), make(seed=1, **flags)
                if len(flags) == 2:  # Such an optimizer steps no leaves, or not on this device.
                    adamax_torch.save(self.path, *saved)
                    adamax_torch.load(self.path, *loaded)
                else:
                    self.go_on(saved, loaded)
                for group in loaded[1].param_groups:
                    for flag, value in flags.items():
                        self.assertIs(group[flag], value)

    def test_before_the_first_step(self):
        run = make()
        adamax_torch.save(self.path, *run)
        steps = {name: tensor["steps"] for name, tensor in self.record()["tensors"].items()}
        self.assertEqual(set(steps.values()), {0})
        self.assertEqual(steps.keys(), dict(run[0].named_parameters()).keys() - {"outside"})
        self.assertEqual(len(run[1].state), 0, "saving changes nothing")
        loaded = make(seed=1)
        adamax_torch.load(self.path, *loaded)
        for each in (run, loaded):
            advance(*each, range(STEPS))
        self.assertEqual(content(*loaded), content(*run))

    def test_tensors_that_share_memory(self):
        both = torch.arange(4.0)
        model = torch.nn.Module()
        model.a, model.b = torch.nn.Parameter(both[:2]), torch.nn.Parameter(both[2:])
        optimizer = torch.optim.Adamax(model.parameters())
        adamax_torch.save(self.path, model, optimizer)
        model.a.data, model.b.data = torch.zeros(2), torch.zeros(2)
        adamax_torch.load(self.path, model, optimizer)
        self.assertEqual((model.a.tolist(), model.b.tolist()), ([0, 1], [2, 3]))

    def test_a_count_beyond_float32(self):
        run = self.file(lambda record, _: record["tensors"]["scalar"].update(steps=2**24 + 1))
        for foreach in (False, True):
            adamax_torch.load(self.path, *run)
            for group in run[1].param_groups:
                group["foreach"] = foreach
            advance(*run, [0])
            self.assertEqual(run[1].state[run[0].scalar]["step"].item(), 2**24 + 2)
        self.change(lambda record, _: record["tensors"]["scalar"].update(steps=2**64 - 1))
        self.refused(run, f"`scalar` has made {2**64 - 1} steps, but PyTorch cannot count above 2**53")

    def test_others_may_read_the_file(self):
        other = self.path.with_name("other")
        other.touch()
        self.file()
        self.assertEqual(os.stat(self.path).st_mode, os.stat(other).st_mode)


class Rates(Case):
    def test_a_schedule_does_not_count_twice(self):
        """Every scheduler goes on as if there had been no file."""
        schedulers = {
            "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 2 * STEPS),
            "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
            "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 2),
            "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=8),
            "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, PEAKS, total_steps=6 * STEPS, cycle_momentum=False
            ),
            "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(
                o, [0.01, 0.005, 0.0025], PEAKS, step_size_up=4, cycle_momentum=False
            ),
        }
        for name, scheduler in schedulers.items():
            with self.subTest(name):
                saved, loaded = make(), make(seed=1)
                first = scheduler(saved[1])
                second = scheduler(loaded[1])
                if name == "cyclic":
                    # CyclicLR keeps the peak to itself; the documentation tells what to do.
                    for run in (saved, loaded):
                        for group, peak in zip(run[1].param_groups, PEAKS, strict=True):
                            group["max_lr"] = peak
                advance(*saved, range(STEPS), first)
                adamax_torch.save(self.path, *saved)
                rates = [rule["learning_rate"] for rule in self.record()["groups"]]
                self.assertEqual(rates, PEAKS if name in ("one cycle", "cyclic") else [0.01, 0.005, 0.02])
                adamax_torch.load(self.path, *loaded)
                second.last_epoch = STEPS
                for run, each in ((saved, first), (loaded, second)):
                    advance(*run, range(STEPS, 2 * STEPS), each)
                for p, q in zip(saved[0].parameters(), loaded[0].parameters(), strict=True):
                    # The rate of a group is the product of two numbers of the file: an ulp for every step.
                    torch.testing.assert_close(p, q, rtol=2 * STEPS * sys.float_info.epsilon, atol=0.0)

    def test_the_factor_is_the_scale(self):
        run = make()
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(run[1], 100)
        advance(*run, range(50), scheduler)
        adamax_torch.save(self.path, *run)
        self.assertAlmostEqual(self.record()["lr_scale"], 0.5, places=12)
        # A run without a scheduler takes over the product; its own next file has both numbers again.
        loaded = make(seed=1)
        adamax_torch.load(self.path, *loaded)
        for group, rate in zip(loaded[1].param_groups, (0.005, 0.0025, 0.01), strict=True):
            self.assertAlmostEqual(group["lr"], rate, places=12)
        before = self.record()
        adamax_torch.save(self.path, *loaded)
        after = self.record()
        self.assertAlmostEqual(after.pop("lr_scale"), before.pop("lr_scale"), places=15)
        self.assertEqual(after, before)

    def test_without_a_scheduler_the_scale_is_left_open(self):
        run = self.file()
        self.assertEqual(self.record().keys(), {"version", "groups", "tensors"})
        torch.optim.lr_scheduler.LambdaLR(run[1], lambda _: 0.25)
        adamax_torch.load(self.path, *run)
        self.assertEqual([group["lr"] for group in run[1].param_groups], [0.0025, 0.00125, 0.005])

    def test_one_scale_for_all_groups(self):
        run = make()
        factors = [lambda _: 0.5, lambda _: 0.25, lambda _: 0.5]
        torch.optim.lr_scheduler.LambdaLR(run[1], factors)
        message = "the groups have different schedules (lr / lr before scheduling: 0.005 / 0.01, 0.00125 / 0.005, 0.01 / 0.02), but the crate has one for all; without a scheduler, delete `initial_lr` from the groups"
        self.refused(run, message, load=False)
        for group in run[1].param_groups:
            del group["initial_lr"]
        adamax_torch.save(self.path, *run)
        self.assertEqual([rule["learning_rate"] for rule in self.record()["groups"]], [0.005, 0.00125, 0.01])

    def test_a_rate_of_zero(self):
        run = make()
        run[1].param_groups[1]["lr"] = 0.0
        torch.optim.lr_scheduler.LambdaLR(run[1], lambda _: 0.5)
        adamax_torch.save(self.path, *run)
        self.assertEqual(self.record()["lr_scale"], 0.5)
        run[1].param_groups[1]["lr"] = 0.5
        self.refused(run, "group 1 has lr 0.5, but 0 before scheduling", load=False)

    def test_a_scheduler_of_another_rate(self):
        run = self.file()
        for group in run[1].param_groups[:1]:
            group["lr"] = 0.02
        torch.optim.lr_scheduler.LambdaLR(run[1], lambda _: 0.5)
        message = "the scheduler of group 0 was made for the learning rate 0.02, but the file has 0.01"
        self.refused(run, message)

    def test_a_rate_that_is_a_tensor(self):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 2)
        lr = torch.tensor(0.01)
        optimizer = torch.optim.Adamax(model.parameters(), lr=lr)
        adamax_torch.save(self.path, model, optimizer)
        self.assertEqual(self.record()["groups"][0]["learning_rate"], lr.item())
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
        adamax_torch.save(self.path, model, optimizer)
        self.assertEqual(self.record()["lr_scale"], 0.5)
        self.change(lambda record, _: record.update(lr_scale=0.25))
        held = optimizer.param_groups[0]["lr"]
        adamax_torch.load(self.path, model, optimizer)
        self.assertIs(optimizer.param_groups[0]["lr"], held)
        self.assertEqual(held, torch.tensor(0.0025))


class Refusals(Case):
    def test_other_precisions(self):
        for dtype in (torch.float16, torch.bfloat16, torch.complex64):
            with self.subTest(dtype):
                run = make()
                run[0].late.data = run[0].late.data.to(dtype)
                run[0].outside.data = run[0].outside.data.to(dtype)
                name = str(dtype).removeprefix("torch.")
                messages = [
                    f"`{p}` is {name}, but the crate has float32 and float64 only"
                    for p in ("late", "outside")
                ]
                self.refused(run, *messages, load=False)

    def test_two_precisions(self):
        run = make()
        run[0].late.data = run[0].late.data.float()
        self.refused(
            run, "`late` is float32, but `scalar` is float64: a file has moments of one precision", load=False
        )

    def test_moments_of_another_precision(self):
        run = make()
        advance(*run, range(STEPS))
        run[1].state[run[0].kernel]["exp_avg"] = run[1].state[run[0].kernel]["exp_avg"].float()
        self.refused(run, "exp_avg of `kernel` is float32, but the parameter is float64", load=False)

    def test_moments_that_cannot_be_read(self):
        for key, value, message in (
            ("exp_avg", math.nan, "exp_avg of `kernel` has NaN or an infinity"),
            ("exp_inf", math.inf, "exp_inf of `kernel` has NaN or an infinity"),
            ("exp_inf", -1.0, "exp_inf of `kernel` is negative"),
        ):
            run = make()
            advance(*run, range(STEPS))
            run[1].state[run[0].kernel][key][1, 2, 0, 1] = value
            self.refused(run, message, load=False)

    def test_settings_that_are_not_finite(self):
        run = make()
        run[1].param_groups[1]["lr"] = math.inf
        run[1].param_groups[2]["weight_decay"] = math.nan
        messages = [
            "learning_rate of group 1 is inf",
            "lr of group 1 is inf",
            "weight_decay of group 2 is nan",
        ]
        self.refused(run, *messages, load=False)
        run = make()
        torch.optim.lr_scheduler.LambdaLR(run[1], lambda _: math.inf)
        self.refused(run, *[f"lr of group {index} is inf" for index in range(3)], load=False)

    def test_a_parameter_outside_of_the_model(self):
        run = make()
        run[1].add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})
        message = "parameter 0 of group 3 is in the optimizer, but not in the model"
        self.refused(run, message, load=False)
        self.file()
        self.refused(run, message)

    def test_the_old_file_stays(self):
        self.file()
        run = make()
        run[0].late.data = run[0].late.data.half()
        self.refused(run, "`late` is float16, but the crate has float32 and float64 only", load=False)

    def test_a_file_of_another_precision(self):
        self.file(dtype=torch.float32)
        run = make()
        advance(*run, [0])
        names = [name for name, _ in run[0].named_parameters()]
        messages = [f"`{name}` is float32, but the parameter is float64" for name in sorted(names)]
        for group in run[1].param_groups:
            for p in group["params"]:
                name = next(name for name, q in run[0].named_parameters() if q is p)
                messages += [
                    f"{key} of `{name}` is float32, but the parameter is float64"
                    for key in ("exp_avg", "exp_inf")
                ]
        self.refused(run, *messages)

    def test_shapes(self):
        """(1,) must not be broadcast into (3,)."""

        def change(_, arrays):
            arrays["parameter/late"] = arrays["parameter/late"][:1].clone()
            arrays["inf_norm/transposed"] = arrays["inf_norm/transposed"].t().contiguous()

        self.refused(
            self.file(change),
            "`late` has shape [1], but the parameter has [3]",
            "exp_inf of `transposed` has shape [4, 3], but the parameter has [3, 4]",
        )

    def test_missing_and_unexpected(self):
        def change(record, arrays):
            record["tensors"]["new"] = record["tensors"].pop("late")
            for part in ("parameter/", "first_moment/", "inf_norm/"):
                arrays[part + "new"] = arrays.pop(part + "late")
            del arrays["first_moment/scalar"], arrays["parameter/outside"]

        run = self.file(change)
        messages = [
            "exp_avg of `scalar` is missing in the file",
            "`late` has no state in the file, but is trained by the optimizer",
            "`new` has a state in the file, but is not in the optimizer",
        ]
        names = ["`late` is missing in the file", "`outside` is missing in the file"]
        self.refused(run, *names, "`new` is not in the model", *messages)
        self.refused(run, *names, *messages, by_hand=["new"])

    def test_arrays_of_the_caller(self):
        run = self.file(lambda _, arrays: arrays.update({"parameter/means": torch.zeros(2)}))
        self.refused(run, "`means` is not in the model")
        adamax_torch.load(self.path, *run, by_hand=["means"])

    def test_a_frozen_parameter_needs_no_state(self):
        """The crate does not register it. A state from before is dropped."""

        def change(record, arrays):
            del record["tensors"]["late"], arrays["first_moment/late"], arrays["inf_norm/late"]

        run = self.file(change)
        advance(*run, [0], late=True)
        self.refused(run, "`late` has no state in the file, but is trained by the optimizer")
        run[0].late.requires_grad_(False)
        adamax_torch.load(self.path, *run)
        self.assertNotIn(run[0].late, run[1].state)

    def test_a_parameter_that_is_not_optimized(self):
        self.file()
        model = Layouts()
        optimizer = torch.optim.Adamax(
            [p for name, p in model.named_parameters() if name not in ("late", "outside")]
        )
        messages = [
            "group 0 is divided in the file: `scalar` is in group 0, `transposed` is in group 1, `frozen` is in group 2",
            "`late` has a state in the file, but is not in the optimizer",
        ]
        self.refused((model, optimizer), *messages)

    def test_rules_that_pytorch_does_not_have(self):
        def express(setting, value):
            return f"torch.optim.Adamax cannot express {setting} {value} (group 1)"

        for setting, value in (
            ("epsilon_placement", "Outside"),
            ("epsilon_placement", "Accumulated"),
            ("bias_correction", "Off"),
            ("weight_decay", {"Decoupled": 0.1}),
            ("clip_value", 1.0),
            ("upper", 1.0),
        ):
            run = self.file(lambda record, _, s=setting, v=value: record["groups"][1].update({s: v}))
            self.refused(run, express(setting, value))
        run = self.file(lambda record, _: record.update(max_norm={"Global": 1.0}))
        self.refused(run, "torch.optim.Adamax has no bound on norms: max_norm is {'Global': 1.0}")
        adamax_torch.load(self.path, *run, by_hand=["max_norm"])
        run = self.file(lambda record, _: record["groups"][1].update(clip_value=1.0))
        adamax_torch.load(self.path, *run, by_hand=["clip_value"])

    def test_what_a_newer_release_may_write(self):
        run = self.file(lambda record, _: record["tensors"]["late"].update(rows=[1]) or record.update(more=1))
        self.refused(run, "`more` is unknown", "`rows` of `late` is unknown")
        run = self.file(lambda record, _: record.update(version=4))
        with self.assertRaisesRegex(ValueError, "has version 4, but 1 to 3 can be read"):
            adamax_torch.load(self.path, *run)

    def test_averages_are_not_lost_unnoticed(self):
        averages = {"late": {"decay": 0.9, "updates": 1}}
        run = self.file(lambda record, _: record.update(version=2, averages=averages))
        self.refused(run, "torch.optim.Adamax has no averages: the file has those of `late`")
        run = self.file(lambda record, _: record.update(version=2, averages=averages))
        adamax_torch.load(self.path, *run, by_hand=["averages"])

    def test_rows_that_count_their_own_steps(self):
        """PyTorch can go on only if all rows have the same count. Then it goes on as from a whole table."""

        def counting(counters, dtype=torch.uint64, steps=None):
            def change(record, arrays):
                record["version"] = 3
                del record["tensors"]["transposed"]["steps"]
                if steps is not None:
                    record["tensors"]["transposed"]["steps"] = steps
                if counters is not None:
                    arrays["row_steps/transposed"] = torch.tensor(counters, dtype=dtype)

            return change

        whole = self.file()
        adamax_torch.load(self.path, *whole)
        by_rows = self.file(counting([STEPS] * 3))
        adamax_torch.load(self.path, *by_rows)
        for run in (whole, by_rows):
            advance(*run, range(STEPS, 2 * STEPS))
        self.assertEqual(content(*by_rows), content(*whole))

        apart = "`transposed` counts the steps of each row, from {} to {}, but torch.optim.Adamax counts those of the whole"
        for change, message in (
            (counting([7, 0, 3]), apart.format(0, 7)),
            (counting([0, 2**64 - 1, 1]), apart.format(0, 2**64 - 1)),
            (counting([5] * 4), "`transposed` has counters of shape [4], but rows of shape [3]"),
            (counting([]), "`transposed` has counters of shape [0], but rows of shape [3]"),
            (counting([[5], [5], [5]]), "`transposed` has counters of shape [3, 1], but rows of shape [3]"),
            (counting([5] * 3, torch.int64), "`transposed` has counters of type int64, but they must be uint64"),
            (counting(None), "`transposed` has neither steps nor counters of its rows"),
            (counting([5] * 3, steps=5), "`transposed` has both steps and counters of its rows"),
        ):
            with self.subTest(message):
                self.refused(self.file(change), message)

    def test_a_table_of_the_crate(self):
        """The crate's own file of this version, as its tests keep it."""
        record, arrays = adamax_torch.read(HERE / "golden" / "version_3.safetensors")
        self.assertEqual(record["tensors"], {"w": {"group": 0}})
        faults = []
        self.assertEqual(adamax_torch.steps_of("w", record["tensors"]["w"], arrays, faults), 0)
        message = f"`w` counts the steps of each row, from 0 to {2**64 - 1}, but torch.optim.Adamax counts those of the whole"
        self.assertEqual(faults, [message])

    def test_settings_that_are_left_open_stay(self):
        run = self.file(lambda record, _: record.update(groups=[{}, {"beta1": 0.5}, {"learning_rate": 0.5}]))
        settings = [dict(group) for group in run[1].param_groups]
        adamax_torch.load(self.path, *run)
        settings[1]["betas"], settings[2]["lr"] = (0.5, 0.99), 0.5
        for group, expected in zip(run[1].param_groups, settings, strict=True):
            self.assertEqual({**group, "params": 0}, {**expected, "params": 0})

    def test_a_damaged_file(self):
        run = self.file()
        data = bytearray(self.path.read_bytes())
        data[-10] ^= 1
        self.path.write_bytes(data)
        before = content(*run)
        with self.assertRaisesRegex(ValueError, "its checksum is wrong"):
            adamax_torch.load(self.path, *run)
        self.assertEqual(content(*run), before)

    def test_another_file(self):
        run = make()
        adamax_torch.safetensors.save_file({"x": torch.zeros(1)}, self.path)
        with self.assertRaisesRegex(ValueError, "is no state file of adamax"):
            adamax_torch.load(self.path, *run)

    def test_another_optimizer(self):
        model = Layouts()
        optimizer = torch.optim.Adam(model.parameters())
        with self.assertRaisesRegex(TypeError, "the optimizer is a Adam, but must be a torch.optim.Adamax"):
            adamax_torch.save(self.path, model, optimizer)
        with self.assertRaisesRegex(TypeError, "the optimizer is a Adam, but must be a torch.optim.Adamax"):
            adamax_torch.load(self.path, model, optimizer)


if __name__ == "__main__":
    unittest.main()
