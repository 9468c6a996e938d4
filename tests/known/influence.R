# Makes influence.json: leverages, Cook's distances and deletions by lme4 1.1-31, optimised hard.
# Run in this folder: Rscript influence.R
suppressMessages(library(lme4))
library(jsonlite)
tight <- lmerControl(optimizer = "nloptwrap",
                     optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-14, maxeval = 100000))

# lme4's influence() passes no other control on; this does the same deletions to more digits.
deleted <- function(formula, data, groups) {
  whole <- lmer(formula, data, control = tight)
  labels <- unique(as.character(data[[groups]]))
  fits <- lapply(labels, function(l) lmer(formula, droplevels(data[data[[groups]] != l, ]),
                                          control = tight, start = getME(whole, "theta")))
  change <- t(sapply(fits, function(f) fixef(f) - fixef(whole)))
  if (length(fixef(whole)) == 1) change <- t(change)
  p <- length(fixef(whole))
  errors <- t(sapply(fits, function(f) sqrt(diag(as.matrix(vcov(f))))))
  if (p == 1) errors <- t(errors)
  # What lme4 itself makes of its own, less exact, deletions.
  assign("data_of_model", data, envir = .GlobalEnv)
  own <- influence(lmer(formula, data_of_model, control = tight), groups = groups)
  list(group = groups, levels = labels,
       cooks = apply(change, 1, function(d) sum(d * solve(as.matrix(vcov(whole)), d)) / p),
       dfbetas = unname(change / errors),
       sigma = sapply(fits, sigma), theta = unname(lapply(fits, function(f) getME(f, "theta"))),
       lme4_cooks = unname(cooks.distance(own)), # its dfbetas fail with one fixed effect
       lme4_dfbetas = if (p > 1) unname(dfbetas(own)))
}
case <- function(name, formula, data, groups) {
  model <- lmer(formula, data, control = tight)
  list(data = name, formula = deparse1(formula), leverage = unname(hatvalues(model)),
       cooks_distance = unname(cooks.distance(model)),
       groups = lapply(groups, function(g) deleted(formula, data, g)))
}
Pastes$cask <- NULL
cake$rr <- with(cake, interaction(recipe, replicate, sep = ":"))
answers <- list(
  case("dyestuff", Yield ~ 1 + (1 | Batch), Dyestuff, "Batch"),
  case("pastes", strength ~ 1 + (1 | batch) + (1 | sample), Pastes, c("batch", "sample")),
  case("cake", angle ~ recipe + temp + (1 | rr), cake, "rr"))
write(toJSON(answers, digits = 12, auto_unbox = TRUE), "influence.json")
