#!/usr/bin/env bats
# dstrain run: what a training leaves behind, what it says where, and what must be the same.

load dstrain

images=/usr/share/datasets/fashion-mnist

@test "a run leaves recipe, hosts, metrics, logs and pruned checkpoints" {
	run train
	assert_success
	run ls -A run
	assert_output $'checkpoints\nhosts.yaml\nlock\nlogs\nmetrics.jsonl\nrecipe.yaml\nresult.json'
	run ls -A run/checkpoints
	assert_output $'step-60\nstep-62'
	run ls -A run/checkpoints/step-62
	assert_output $'manifest.json\nmodel.safetensors\noptimizer.safetensors'
	run ls run/logs
	assert_output $'orchestrator.log\nrank-0.log\nrank-1.log'
	run ./dstrain check run/recipe.yaml
	assert_success
	run ./dstrain hosts show --hosts run/hosts.yaml
	assert_success
}

@test "the manifest says what is in a checkpoint, and where in the data it was" {
	train
	python3 - run <<-'END'
		import hashlib, json, os, sys
		at = sys.argv[1] + "/checkpoints/step-62/"
		manifest = json.load(open(at + "manifest.json"))
		assert (manifest["step"], manifest["world"], manifest["seed"]) == (62, 2, 42)
		assert (manifest["epochs_done"], manifest["steps_into_epoch"]) == (2, 0)
		recipe = open(sys.argv[1] + "/recipe.yaml", "rb").read()
		assert manifest["recipe_sha256"] == hashlib.sha256(recipe).hexdigest()
		assert [f["name"] for f in manifest["files"]] == ["model.safetensors", "optimizer.safetensors"]
		for file in manifest["files"]:
		    content = open(at + file["name"], "rb").read()
		    assert file["bytes"] == len(content)
		    assert file["sha256"] == hashlib.sha256(content).hexdigest()
	END
}

@test "the recorded recipe and hosts train the same" {
	train --set train.steps=20
	./dstrain run run/recipe.yaml --hosts run/hosts.yaml --run-dir again
	assert_same_training run again
}

@test "metrics.jsonl has exactly the documented keys" {
	train
	python3 - run/metrics.jsonl <<-'END'
		import json, math, sys
		step = ("kind step epoch loss lr gradient_norm samples_per_s data_s compute_s comm_s "
		        "exposed_comm_s bytes_sent payload_sent header_sent control_sent payload_fp32 "
		        "compression_ratio elapsed_s").split()
		lines = [json.loads(line) for line in open(sys.argv[1])]
		steps = [l for l in lines if l["kind"] == "step"]
		evals = [l for l in lines if l["kind"] == "eval"]
		assert all(list(l) == step for l in steps), steps[0]
		assert all(list(l) == step[:4] + ["accuracy"] + step[11:] for l in evals), evals[0]
		assert [l["step"] for l in steps] == list(range(1, 63))
		assert [(l["step"], l["epoch"]) for l in evals] == [(31, 1), (62, 2)]
		assert [l["epoch"] for l in steps] == [1] * 31 + [2] * 31
		assert steps[-1]["loss"] < steps[0]["loss"] / 2
		for l in steps:
		    assert all(math.isfinite(v) and v >= 0 for k, v in l.items() if k != "kind"), l
		    assert l["bytes_sent"] == l["payload_sent"] + l["header_sent"] + l["control_sent"]
		    assert l["payload_sent"] > 0
		times = [l["elapsed_s"] for l in lines]
		assert times == sorted(times)
	END
}

@test "the table goes to stdout, everything else to stderr" {
	train >out 2>said
	run cat out
	assert_line --index 0 --regexp '^epoch +step +train loss +test loss +accuracy +seconds$'
	assert_line --regexp '^model +[0-9]+ parameters, 2 ranks on 1 host$'
	assert_line --regexp '^model file +run/checkpoints/step-62/model.safetensors$'
	refute_output --partial dstrain:
	run cat said
	assert_line "dstrain: run directory run"
	assert_line --regexp '^dstrain: epoch 2/2: loss .*, test loss .*, accuracy .* %, .* samples/s$'
	refute_output --partial $'\r'
}

@test "--json prints one object and nothing else on stdout" {
	train --json >out 2>said
	python3 - out <<-'END'
		import json, sys
		text = open(sys.argv[1]).read()
		r = json.loads(text)
		assert text.endswith("}\n")
		assert r["result"] == "done" and r["exit_status"] == 0 and r["run_dir"] == "run"
		assert r["world"] == 2 and r["step"] == r["steps"] == r["checkpoint_step"] == 62
		assert r["accuracy"] > 0.5 and r["loss"] < 1
	END
}

@test "--json tells of a failure too" {
	train --json --set train.optimizer.lr=1e6 --set train.steps=200 >out 2>said || status=$?
	assert_equal "$status" 1
	python3 -c 'import json, sys
r = json.load(open("out")); assert r["result"] == "failed" and r["exit_status"] == 1 and r["error"]'
}

@test "--quiet says nothing" {
	run train --quiet
	assert_success
	assert_output ""
}

# Seconds of it, so that the live line is drawn many times.
long_training() {
	echo "./dstrain run recipe.yaml --run-dir run --set train.epochs=40 --set model.hidden=[512,512]"
}

@test "on a terminal there is one live line, cut to its width, and gone before the table" {
	script -qec "stty cols 60; $(long_training)" typescript >/dev/null
	python3 - typescript <<-'END'
		import re, sys
		text = open(sys.argv[1], newline="").read()
		pieces = re.findall(r"\r\x1b\[K([^\r\n]*)", text)
		live = [p for p in pieces if re.match("epoch [0-9]", p)]
		assert live, text[:500]
		assert all(len(p) < 60 for p in live), max(live, key=len)
		assert re.search(r"step \d+/1240", live[-1]), live[-1]
		assert text[:text.index("epoch  step  train")].endswith("\x1b[K")
		assert "dstrain: epoch" not in text
	END
}

@test "80 columns show all of the live line, and a dumb terminal plain lines" {
	script -qec "stty cols 80; $(long_training)" typescript >/dev/null
	grep -aqE 'epoch [0-9]+/40 step [0-9]+/1240 loss [0-9.]+ [0-9.]+ % left [0-9.a-z]+ [0-9]+/s [0-9.]+ .?B/s' typescript
	script -qec "TERM=dumb ./dstrain run recipe.yaml --run-dir dumb" typescript >/dev/null
	! grep -q $'\e' typescript || fail "escape sequences"
	grep -q "dstrain: epoch 2/2" typescript
}

@test "any number of ranks loses the same over 200 steps" {
	[ -e $images/train-images-idx3-ubyte.gz ] || skip "no such data: dataset-fashion-mnist"
	sed '/^transport/d' "$BATS_TEST_DIRNAME/../recipes/fashion-mnist-mlp.yaml" >recipe.yaml
	for world in 1 2 4 8; do
		train --quiet --hosts local:$world --run-dir $world --set train.steps=200 \
			--set train.batch=64 --set train.eval_every=0 --set transport.name=inproc
	done
	python3 - <<-'END'
		import json
		def losses(world):
		    lines = map(json.loads, open(f"{world}/metrics.jsonl"))
		    return [l["loss"] for l in lines if l["kind"] == "step"]
		one = losses(1)
		assert len(one) == 200 and one[-1] < one[0] / 2
		for world in 2, 4, 8:
		    worst = max(abs(a - b) for a, b in zip(one, losses(world)))
		    print(world, worst)
		    assert len(losses(world)) == 200 and worst < 1e-4, (world, worst)
	END
}

@test "the same seed gives the same losses and model, bit for bit; another does not" {
	train --hosts local:3 --run-dir a --set train.steps=50
	train --hosts local:3 --run-dir b --set train.steps=50
	train --hosts local:3 --run-dir c --set train.steps=50 --set seed=43
	assert_same_training a b
	run diff <(losses a) <(losses c)
	assert_failure
}

@test "every transport gives the same losses and model, bit for bit" {
	for transport in $(registry transport); do
		train --hosts local:3 --run-dir "$transport" --set train.steps=40 \
			--set transport.name="$transport"
		assert_same_training "$transport" inproc || [ ! -e inproc ]
	done
	for transport in $(registry transport); do
		assert_same_training "$transport" inproc
	done
}

@test "without encryption the losses are the same" {
	train --run-dir a --set train.steps=30
	train --run-dir b --set train.steps=30 --set transport.encrypt=no
	assert_same_training a b
}

@test "every allreduce algorithm trains" {
	algorithms=$(./dstrain check recipe.yaml --set sync.allreduce=x 2>&1 |
		sed 's/.*one of //; s/,//g')
	[ "$(wc -w <<<"$algorithms")" -ge 4 ]
	for algorithm in $algorithms; do
		train --quiet --hosts local:5 --run-dir "$algorithm" --set train.steps=30 \
			--set sync.allreduce="$algorithm" --set sync.bucket=1KiB
		has_steps "$algorithm" 30
	done
}

@test "every compression scheme, optimizer and schedule trains" {
	for scheme in $(registry compress); do
		train --quiet --run-dir "$scheme" --set compress.scheme="$scheme" --set train.optimizer.momentum=0
	done
	for optimizer in $(registry optim); do
		train --quiet --run-dir "$optimizer" --set train.optimizer.name="$optimizer" \
			--set train.optimizer.lr=0.01 --set train.optimizer.momentum=0 ||
			train --quiet --run-dir "$optimizer" --set train.optimizer="$optimizer"
	done
}

@test "--dry-run says what it would do and touches nothing" {
	run train --dry-run
	assert_success
	assert_output "local: ranks 0 to 1 here"
	run train --dry-run --json --hosts local:2,a@node
	assert_equal "$(python3 -c 'import json, sys
it = json.load(sys.stdin)
print(it["world"], [h["first_rank"] for h in it["hosts"]], it["hosts"][1]["user"], it["files"][0]["path"])' <<<"$output")" \
		"3 [0, 2] a $PWD/dstrain"
	[ ! -e run ]
	[ ! -e runs ]
}

@test "a run without --run-dir finds a name of its own" {
	./dstrain run recipe.yaml --quiet --set train.steps=2
	./dstrain run recipe.yaml --quiet --set train.steps=2
	run ls runs
	assert_output $'small\nsmall-2'
}

@test "a directory that is taken is refused and left alone" {
	mkdir run
	echo precious >run/thesis
	run train
	assert_failure 1
	assert_output "dstrain: error: 'run' is not empty; choose another directory"
	assert_equal "$(ls -A run)" thesis
}

@test "a loss that is not finite ends the run with the step and a checkpoint" {
	run train --set train.optimizer.lr=1e6 --set train.steps=500 --set checkpoint.every=1
	assert_failure 1
	assert_output --regexp 'rank [01] on .local.: the (loss is|weights are) not finite at step [0-9]+'
	assert_output --regexp 'the checkpoint of step [0-9]+ is kept'
	run ./dstrain resume run --quiet --set train.optimizer.lr=0.001 --set train.steps=1
	assert_success
}

@test "it is said in which layer the first number is not finite, and what was kept can be resumed" {
	train --quiet --set train.steps=20
	run ./dstrain resume run --set train.steps=100 --set train.optimizer.lr=1e30
	assert_failure 1
	assert_output --regexp "the loss is not finite at step 2[12], first in 'fc2'; a smaller"
	assert_output --partial 'the checkpoint of step 20 is kept'
	./dstrain resume run --quiet --set train.steps=100
}

@test "no checkpoint holds numbers that are not finite" {
	cat >recipe.yaml <<-'END'
		hosts: local:2
		data: {format: synthetic, task: regress, samples: 1000, features: 8}
		model: {preset: mlp, hidden: [4], activation: relu}
		train: {steps: 500, batch: 50, optimizer: {name: sgd, lr: 2}}
		checkpoint: {every: 1, keep: 100}
	END
	run train
	assert_failure 1
	assert_output --regexp "the (loss is|weights are) not finite at step [0-9]+, first in '(fc[12]|fc[12].(weight|bias)|mean_squared_error)'"
	for model in run/checkpoints/*/model.safetensors; do
		python3 - "$model" <<-'END'
			import array, json, math, sys
			file = open(sys.argv[1], "rb").read()
			head = int.from_bytes(file[:8], "little")
			numbers = array.array("f", file[8 + head:])
			assert all(map(math.isfinite, numbers)), (sys.argv[1], numbers)
		END
	done
}

@test "fewer samples in a batch than ranks is an error of the recipe" {
	run train --hosts local:4 --set train.batch=3
	assert_failure 2
	assert_output --partial "train.batch: 3 is fewer samples than the 4 ranks"
	run ./dstrain check recipe.yaml --hosts local:4 --set train.batch=3
	assert_failure 2
	assert_output --partial "train.batch: 3 is fewer samples than the 4 ranks"
}

@test "more samples in a batch than there are is an error of the recipe" {
	run train --set train.batch=2001
	assert_failure
	assert_output --partial "train.batch: 2001 is more than the 2000 training samples"
}

@test "a data file that is damaged is named" {
	[ -e $images/t10k-images-idx3-ubyte.gz ] || skip "no such data: dataset-fashion-mnist"
	gzip -dc $images/t10k-images-idx3-ubyte.gz | head -c 100000 >pictures
	gzip -dc $images/t10k-labels-idx1-ubyte.gz >labels
	cat >recipe.yaml <<-'END'
		data: {format: idx, train: {images: pictures, labels: labels}}
		model: softmax
		train: {steps: 1}
	END
	run train
	assert_failure 1
	assert_output --partial "/pictures' is cut short"
	assert_output --partial "rank 0 on 'local'"
	wait_for 8 nothing_runs
}

@test "a data file that is not there is found before anything starts" {
	cat >recipe.yaml <<-'END'
		data: {format: csv, train: nowhere.csv, label: 0}
		model: softmax
	END
	run train
	assert_failure 2
	assert_output --partial "recipe.yaml:1:"
	assert_output --partial "nowhere.csv"
	[ ! -e run ]
}

@test "hosts that cannot be read are a usage error" {
	run train --hosts nowhere.yaml
	assert_failure 2
	assert_output --partial "nowhere.yaml"
	[ ! -e run ]
}

@test "a range of ports that is too small" {
	run train --set transport.port=40123
	assert_failure 1
	assert_output --regexp "port 40123: Address already in use; transport.port has to leave a free one for each rank"
}

@test "of very many hosts that fail, the first are told" {
	run train --hosts '127.0.0.[1-30]'
	assert_failure 1
	assert_line "dstrain: error: 30 of 30 hosts cannot be used"
	assert_equal "$(grep -c '^  127' <<<"$output")" 20
	# shellcheck disable=SC2016 # as it stands there
	assert_line '  and 10 more; see `dstrain hosts check`'
}

@test "stdout that is closed does not put the table anywhere else" {
	run bash -c './dstrain run recipe.yaml --run-dir run --set train.steps=5 >&-'
	assert_failure 1
	assert_output --partial "cannot write to standard output"
	run grep -rlE '^model +[0-9]+ parameters' run
	assert_failure
	[ ! -s run/lock ]
}

@test "stdout and stderr that nobody reads do not stop a run" {
	run bash -c './dstrain run recipe.yaml --run-dir run 2>/dev/null | head -n 0; exit ${PIPESTATUS[0]}'
	assert_failure 1
	[ -e run/checkpoints/step-62/manifest.json ]
	run bash -c './dstrain run recipe.yaml --run-dir two 2>&1 >/dev/null | head -n 0; exit ${PIPESTATUS[0]}'
	assert_success
}

@test "without stdin, stdout or stderr it trains all the same" {
	./dstrain run recipe.yaml --run-dir a --quiet <&-
	./dstrain run recipe.yaml --run-dir b --quiet <&- >&- 2>&- || true
	assert_same_training a b
}
