"""Published figures for checking the statistics, typed in from the papers; each with its source."""

# SIMPLER, arXiv 2405.05941, Table IV, visual matching, pick coke can (average); RT-1 (Converged), RT-1 (15%),
# RT-1-X, RT-2-X, Octo-Base, RT-1 (Begin). Printed: Pearson .976, MMRV .031. Swapped arguments would give
# .0618.
SIMPLER_REAL = [0.853, 0.920, 0.760, 0.907, 0.293, 0.133]
SIMPLER_SIM = [0.857, 0.710, 0.567, 0.787, 0.170, 0.027]

# SIMPLER, Table IV, variant aggregation, drawer (average), same policies. Printed: Pearson .737, MMRV .321
# (swapped .0628).
DRAWER_REAL = [0.870, 0.796, 0.630, 0.481, 0.333, 0.000]
DRAWER_SIM = [0.323, 0.267, 0.294, 0.353, 0.011, 0.069]

# WEAVER, arXiv 2606.13672, Ctrl-World panel: 5 tasks x 2 policies. Printed: Pearson .552, Spearman .523.
WEAVER_REAL = [0.30, 0.55, 0.60, 0.75, 0.40, 0.75, 0.60, 0.80, 0.30, 0.50]
WEAVER_SIM = [0.00, 0.00, 0.30, 0.50, 0.05, 0.05, 0.25, 0.25, 0.10, 0.25]

# AutoEval, arXiv 2503.24278: successes of 50 by human and by AutoEval; OpenVLA, Open-pi0, Octo, SuSIE-LL,
# SuSIE, MiniVLA. Printed: mean over tasks of Pearson .942, of MMRV .015.
AUTOEVAL = {
    "open drawer": ([40, 24, 0, 0, 2, 32], [40, 29, 1, 0, 1, 33]),
    "close drawer": ([46, 45, 0, 0, 13, 49], [46, 46, 5, 1, 18, 49]),
    "eggplant to basket": ([1, 7, 0, 0, 0, 38], [1, 7, 0, 0, 0, 38]),
    "eggplant to sink": ([0, 47, 0, 0, 0, 0], [0, 47, 0, 0, 0, 0]),
    "fold cloth": ([12, 3, 2, 0, 10, 8], [13, 12, 4, 0, 9, 8]),
}

# WorldArena, arXiv 2602.08971v2: EWMScore of six world models and the success (percent, adjust bottle, click
# bell) of policies trained on their data; WoW, RoboMaster, Vidar, Wan 2.2, TesserAct, Genie Envisioner.
# Printed: Pearson .600 between the score and the mean of the two tasks.
WORLDARENA_SCORE = [54.88, 51.84, 51.60, 54.54, 53.23, 43.65]
WORLDARENA_SUCCESS = [(45, 71), (7, 68), (13, 53), (15, 41), (1, 35), (7, 21)]

# GenAI-Bench, video (TIGER-AI-Lab/GenAI-Bench @ f0b0334d, MIT): how often people voted left, right, tie, both bad
# (rows) and a judge said A>B, B>A, A=B=Good, A=B=Bad, nothing of that (columns), of 1,069 pairs. Printed: accuracy
# 48.46 % for GPT-4o, 46.21 % for Gemini 1.5 Pro. Cohen's kappa by scikit-learn, outside this project: .2496, .1960.
GENAI_GPT4O = [[190, 87, 32, 16, 0], [56, 292, 15, 12, 0], [52, 69, 15, 2, 0], [66, 132, 12, 21, 0]]
GENAI_GEMINI = [[157, 153, 1, 13, 1], [40, 325, 0, 9, 1], [44, 88, 0, 6, 0], [70, 148, 0, 12, 1]]

# ImagenHub, arXiv 2310.01596, its released ratings (TIGER-AI-Lab/ImagenHub @ 439f72c9, MIT): how often three raters
# gave ControlNet these marks, whoever gave which. Printed, Fleiss' kappa and ordinal Krippendorff's alpha: SC .42 and
# .64, PR .41 and .55.
CONTROLNET_SC = {
    (0, 0, 0): 41, (0, 0, 0.5): 27, (0, 0, 1): 5, (0, 0.5, 0.5): 10, (0, 0.5, 1): 5, (0, 1, 1): 4,
    (0.5, 0.5, 0.5): 3, (0.5, 0.5, 1): 18, (0.5, 1, 1): 13, (1, 1, 1): 24,
}  # fmt: skip
CONTROLNET_PR = {
    (0, 0, 0): 76, (0, 0, 0.5): 23, (0, 0.5, 0.5): 22, (0, 0.5, 1): 2, (0.5, 0.5, 0.5): 13, (0.5, 0.5, 1): 14,
}  # fmt: skip
