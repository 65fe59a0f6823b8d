# The README's commands. PYTHON may name another interpreter: make setup PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Each process of the tests on one thread: more of them only wait for each other.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

# What stands above the tables of LEADERBOARD.md.
define HEAD
# Leaderboard

Every method of the suite with the preset `small`, on data that the suite draws or ships. Each measured
number traces to [leaderboard/records](leaderboard/records), a file for each run with its protocol and
provenance; each reported one, in tables of their own, to [leaderboard/reported](leaderboard/reported).
[The guide](docs/leaderboard.md) says how to read the tables.

`make board` writes this file and [docs/leaderboard.html](docs/leaderboard.html), the same to sort and
filter with the details of each row and the verdicts on the papers' claims, and a test holds both to the
records. `bench sweep tables/leaderboard-small.toml --jobs 2` makes the runs again.
endef
export HEAD

.PHONY: setup demo test check format smoke board

setup: $(INSTALLED)

demo: setup
	$(BIN)/bench run --method contrafeat --dataset shapes3d

test: setup
	$(TEST)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(TEST)

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A few steps of every method on the embedded dataset of its track, into a folder that is removed afterwards;
# group-vae learns from the directions of a run before it. At last, their scores are held against a baseline.
smoke: setup
	@set -e; out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; export OMP_NUM_THREADS=1; \
	run="$(BIN)/bench run --preset smoke --out $$out --method"; \
	$(BIN)/bench list methods | grep -vx group-vae | xargs -P 2 -I METHOD sh -c \
		"echo '== smoke run of METHOD'; $$run METHOD || { echo 'The smoke run of METHOD failed.'; exit 255; }"; \
	echo "== smoke run of group-vae"; \
	$$run group-vae --directions "$$out"/discovery/shapes3d/sefa/*; \
	$(BIN)/bench check "$$out" --baseline smoke

# What is published of the committed records.
board: setup
	{ printf '%s\n\n' "$$HEAD"; $(BIN)/bench leaderboard leaderboard/records --preset small; } > LEADERBOARD.md
	$(BIN)/bench leaderboard leaderboard/records --preset small --format html > docs/leaderboard.html

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# A torch of the tested version that is already in .venv, such as a CPU build, stays.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --editable ".[dev]" --constraint constraints.txt
	@$(BIN)/bench fetch digiface-dcgan || echo "Set up all the same: without this file (13 MB) there is no dataset digiface."
	touch $@
