#!/usr/bin/env bats
# model.init_from: a run begins with weights that PyTorch wrote; dstrain eval reads such files, too.

bats_require_minimum_version 1.5.0

load dstrain

# In $made: models as in recipe.yaml as PyTorch would write them, NAME.safetensors, and what should
# become of those by type, NAME.bin: their numbers as float32.
setup_file() {
	export made=$BATS_FILE_TMPDIR
	OMP_NUM_THREADS=1 /usr/bin/python3 - "$made" <<'END'
import json, struct, sys
import torch

types = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16}

def numbers(tensor):
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor).numpy().tobytes()

def write(name, dtype, state):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for key, tensor in state.items():
        raw = numbers(tensor.to(types[dtype]))
        header[key] = {"dtype": dtype, "shape": list(tensor.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(f"{sys.argv[1]}/{name}.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)

torch.manual_seed(7)
layers = {"fc1": torch.nn.Linear(16, 32), "relu": torch.nn.ReLU(), "fc2": torch.nn.Linear(32, 4)}
model = torch.nn.Sequential()
for name, layer in layers.items():
    model.add_module(name, layer)
state = model.state_dict()
for dtype, kind in types.items():
    write(dtype, dtype, state)
    with open(f"{sys.argv[1]}/{dtype}.bin", "wb") as out:
        for tensor in state.values():
            out.write(numbers(tensor.to(kind).to(torch.float32)))
other = dict(state, **{"fc2.weight": state["fc2.weight"].t()})
other["extra"] = other.pop("fc1.bias")
write("other", "F32", other)
write("more", "F32", dict(state, **{f"layer{i}": torch.zeros(1) for i in range(20)}))

x, y = torch.rand(100, 16).mul(1000).round() / 1000, torch.arange(100) % 4
with open(f"{sys.argv[1]}/test.csv", "w") as out:
    for row, label in zip(x.tolist(), y.tolist()):
        print(*(f"{value:.3f}" for value in row), label, sep=",", file=out)
with open(f"{sys.argv[1]}/loss", "w") as out, torch.no_grad():
    z = model(x)
    print(torch.nn.functional.cross_entropy(z, y).item(), (z.argmax(1) == y).sum().item() / 100, file=out)
END
}

# One step that is too small to change a weight.
still=(--set train.steps=1 --set train.optimizer.lr=1e-12)

begun() { # NAME [FLAGS]: train for a step from that file
	train --quiet "${still[@]}" --set model.init_from="$made/$1.safetensors" "${@:2}"
}

has_numbers() { # DIR NAME: its newest model is that file's
	tail -c "$(stat -c %s "$made/$2.bin")" "$(newest "$1")/model.safetensors" | cmp - "$made/$2.bin"
}

@test "all ranks begin with PyTorch's weights, whatever their type is" {
	for type in F32 F64 F16 BF16; do
		begun $type --hosts local:3 --run-dir $type
		has_numbers $type $type
	done
	begun F16 --set sync=local_sgd --run-dir apart
	has_numbers apart F16
	run has_numbers apart F32
	assert_failure
}

@test "a file that is not of the model is refused with all that is wrong" {
	run begun other
	assert_failure 1
	assert_output --partial "missing 'fc1.bias'; unexpected 'extra'; 'fc2.weight' has shape [32, 4] instead of [4, 32]"
	run begun more
	assert_failure 1
	assert_output --partial "unexpected 'layer0', 'layer1', "
	assert_output --partial "'layer7' and 12 more"
	head -c 1000 "$made/F32.safetensors" >cut.safetensors
	run begun F32 --set model.init_from=cut.safetensors
	assert_failure 1
	assert_output --partial "cut.safetensors'"
	run begun missing
	assert_failure 2
	assert_output --partial "model.init_from: "
}

@test "who goes on from a checkpoint needs it no more" {
	cp "$made/F32.safetensors" model.safetensors
	begun F32 --set model.init_from=model.safetensors
	rm model.safetensors
	run ./dstrain resume run --set train.steps=2
	assert_success
	assert_output --partial "resuming from step 1"
	has_numbers run F32
	run ./dstrain eval run
	assert_success
}

@test "it travels to hosts as data do" {
	cp "$made/F32.safetensors" model.safetensors
	run --separate-stderr ./dstrain run recipe.yaml --hosts a:2,b:2 --dry-run --json \
		--set model.init_from=model.safetensors
	assert_success
	assert_output --partial "$(sha256sum model.safetensors | cut -d ' ' -f 1)"
	run ./dstrain check recipe.yaml --print --set model.init_from=model.safetensors
	assert_output --partial "init_from: $PWD/model.safetensors"
}

@test "dstrain eval gives a PyTorch-written model the loss that PyTorch gives it" {
	printf 'data: {format: csv, train: %s, test: %s}\nmodel: {preset: mlp, hidden: [32]}\n' \
		"$made/test.csv" "$made/test.csv" >r.yaml
	run --separate-stderr ./dstrain eval "$made/F32.safetensors" --recipe r.yaml --json
	assert_success
	python3 - "$output" "$(cat "$made/loss")" <<-'END'
		import json, sys
		got, (loss, accuracy) = json.loads(sys.argv[1]), map(float, sys.argv[2].split())
		assert abs(got["loss"] - loss) < 1e-6 and got["accuracy"] == accuracy, (got, loss, accuracy)
	END
}
