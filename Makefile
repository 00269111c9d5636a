# `make demo` and `make test` do everything in a virtual environment of this checkout; nothing need be installed before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
LEROBOT := lerobot==0.4.4 datasets==5.2.0 torchvision==0.28.0 dill==0.4.1 multiprocess==0.70.19 xxhash==4.1.0 jsonlines==4.0.0 attrs==26.1.0
# Processes of one thread each are faster than threads on few cores, and give the same sums everywhere.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export PYTHONWARNINGS ?= ignore

.PHONY: demo test fast check slow long bench tables latex browser vendor clean

demo: $(VENV)/installed
	$(BIN)/dreamgen-bench demo --out $(OUT)

test: check latex browser fast slow

fast: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow and not long"

slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

long: $(VENV)/installed
	$(BIN)/python -m pytest -m long

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/dreamgen-bench leaderboard --check

# For the test that compiles the tables for a paper, which is skipped without it: 48 MB, half a minute of one core.
latex:
	@command -v pdflatex >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends texlive-latex-base texlive-latex-recommended >/dev/null; } || \
	  echo "no pdflatex: that LaTeX takes the tables is not tested"

# For the tests that open the pages, which are skipped without it: ten seconds.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "no chromium: the pages are not opened by a test"

bench: $(VENV)/installed
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

tables: $(VENV)/installed
	$(BIN)/dreamgen-bench leaderboard

# The page's one library, as it stands in git. Its version is named in index.html too, and a test holds both to the file.
VENDORED := sortable-tablesort@4.1.7
vendor:
	cd $$(mktemp -d) && npm pack --silent $(VENDORED) && tar xzf *.tgz && cd package && \
	  cp dist/sortable.min.js $(CURDIR)/dreamgen_bench/page/ && cp LICENSE $(CURDIR)/dreamgen_bench/page/sortable.LICENSE

$(VENV)/installed: setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	# Alone: its torchvision is published for CUDA only, which transformers would then trip over; our judge needs none of it.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps open_clip_torch
	# Beside it: lerobot reads what we export, and its torchvision would take transformers down in the same way.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/lerobot $(LEROBOT)
	@$(BIN)/python -W ignore -c 'from dreamgen_bench.doctor import _graphics as g; f = g(); print(f.found); exit(not f.ok)' || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -y -qq libegl1 libgl1-mesa-dri libosmesa6 >/dev/null; } || \
	  echo "no graphics: dreamgen-bench doctor says what to install"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
