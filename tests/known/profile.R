# 95 % profile intervals by lme4, with more points and tighter tolerances than its own:
#
#     Rscript tests/known/profile.R src/mixedmodels/datasets/data > tests/known/profile.tsv
suppressMessages(library(lme4))
folder <- commandArgs(TRUE)[1]
load_data <- function(name) read.csv(file.path(folder, paste0(name, ".csv")), stringsAsFactors = TRUE)

dyestuff <- load_data("dyestuff")
dyestuff$w <- 1 + (seq_len(nrow(dyestuff)) - 1) %% 3
penicillin <- load_data("penicillin")
unbalanced <- penicillin[-seq(1, nrow(penicillin), by = 3), ]
pastes <- load_data("pastes")
cake <- load_data("cake")
classroom <- load_data("classroom")[1:400, ]
for (g in c("classid", "schoolid")) classroom[[g]] <- factor(classroom[[g]])

models <- list(
  dyestuff = lmer(Yield ~ 1 + (1 | Batch), dyestuff, REML = FALSE),
  weighted = lmer(Yield ~ 1 + (1 | Batch), dyestuff, REML = FALSE, weights = w),
  penicillin = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin, REML = FALSE),
  unbalanced = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), unbalanced, REML = FALSE),
  pastes = lmer(strength ~ 1 + (1 | sample) + (1 | batch), pastes, REML = FALSE),
  cake = lmer(angle ~ recipe + temp + (1 | recipe:replicate), cake, REML = FALSE),
  classroom = lmer(mathgain ~ mathkind + ses + (1 | classid) + (1 | schoolid), classroom,
                   REML = FALSE)
)
cat("model\tparameter\tlower\tupper\n")
for (name in names(models)) {
  fm <- update(models[[name]], control = lmerControl(
    optimizer = "nloptwrap",
    optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-12, xtol_rel = 0, ftol_rel = 0)
  ))
  pr <- suppressWarnings(profile(fm, delta.cutoff = 1 / 24, devtol = 1e-9, maxpts = 400))
  ci <- suppressWarnings(confint(pr))
  groups <- names(getME(fm, "flist"))[attr(getME(fm, "flist"), "assign")]
  rownames(ci) <- c(paste0("sd[", groups, "]"), "sd[Residual]", names(fixef(fm)))
  for (p in rownames(ci))
    cat(sprintf("%s\t%s\t%.10g\t%.10g\n", name, p, ci[p, 1], ci[p, 2]))
}
