# Known answers for the tests of fixed effects: lmerTest's and pbkrtest's.
#
#     Rscript tests/known/fixed_effects.R      (from the root of the repository)
#
# writes fixed_effects.tsv and the made-up data, unbalanced.csv and empty_cell.csv, beside this file.
# The optimum is polished by Newton steps, as the df of both packages are read off it.
suppressMessages({library(lmerTest); library(pbkrtest); library(numDeriv)})
options(digits = 15)
here <- "tests/known"

set.seed(20)
n <- 96
u <- data.frame(subject = sprintf("s%02d", sample(14, n, TRUE, prob = 1:14)),
                item = sprintf("i%d", sample(6, n, TRUE)))
u$treatment <- c("A", "B", "C")[1 + (as.integer(factor(u$subject)) + rbinom(n, 1, .3)) %% 3]
u$condition <- sample(c("high", "low"), n, TRUE, prob = c(.65, .35))
u$x <- round(rnorm(n, as.integer(factor(u$subject)) / 5), 2)
u$year <- 2000 + sample(12, n, TRUE)
u$w <- round(runif(n, .4, 2.5), 2)
u$y <- round(5 + .4 * u$x + (u$treatment == "B") + rnorm(14, 0, .8)[as.integer(factor(u$subject))] +
             rnorm(6, 0, .5)[as.integer(factor(u$item))] + rnorm(n) / sqrt(u$w), 3)
u$flat <- round(residuals(lm(y ~ factor(item) + factor(subject), u)) + .3 * u$x + rnorm(n), 3)
write.csv(u, file.path(here, "unbalanced.csv"), row.names = FALSE, quote = FALSE)
e <- data.frame(block = sprintf("b%d", rep(1:8, each = 6)), a = sample(c("a1", "a2", "a3"), 48, TRUE),
                b = sample(c("b1", "b2", "b3"), 48, TRUE))
e <- e[!(e$a == "a3" & e$b == "b2"), ]
e$y <- round(rnorm(8)[as.integer(factor(e$block))] + rnorm(nrow(e)) + (e$a == "a2"), 3)
write.csv(e, file.path(here, "empty_cell.csv"), row.names = FALSE, quote = FALSE)
u <- read.csv(file.path(here, "unbalanced.csv"), stringsAsFactors = TRUE)
e <- read.csv(file.path(here, "empty_cell.csv"), stringsAsFactors = TRUE)
classroom <- read.csv("src/mixedmodels/datasets/data/classroom.csv")
classroom$sex <- factor(classroom$sex, c("M", "F"))
classroom$minority <- factor(classroom$minority)

fit <- function(formula, data, REML = TRUE, weights = NULL, contrasts = NULL) {
  make <- function(...) do.call(lmerTest::lmer, c(list(formula, data, REML = REML, weights = weights,
                                contrasts = contrasts), list(...)))
  first <- suppressMessages(suppressWarnings(make(control = lmerControl(check.conv.singular = "ignore"))))
  f <- update(first, devFunOnly = TRUE)
  theta <- getME(first, "theta")
  theta[theta < 1e-4] <- 0
  free <- theta > 0
  for (i in seq_len(if (any(free)) 6 else 0)) {
    on_face <- function(x) { t <- theta; t[free] <- x; f(t) }
    g <- grad(on_face, theta[free]); h <- hessian(on_face, theta[free])
    theta[free] <- theta[free] - solve(h, g)
  }
  if (any(free)) cat("  gradient", max(abs(g)), "")
  suppressMessages(suppressWarnings(make(start = theta, control = lmerControl(optimizer = NULL,
    calc.derivs = FALSE, check.conv.singular = "ignore"))))
}

models <- list(
  cake = list(angle ~ recipe * temperature + (1 | recipe:replicate), "cake", lme4::cake),
  sleepstudy = list(Reaction ~ Days + (1 | Subject), "sleepstudy", lme4::sleepstudy),
  classroom = list(mathgain ~ mathkind + sex + minority + ses + (1 | classid) + (1 | schoolid), "classroom", classroom),
  crossed = list(y ~ treatment * condition + x + (1 | subject) + (1 | item), "unbalanced", u),
  slopes = list(y ~ treatment * x + condition + (1 | subject) + (1 | item), "unbalanced", u),
  far = list(y ~ year + treatment + (1 | subject), "unbalanced", u),
  three = list(y ~ (treatment + condition + x)^2 + (1 | subject), "unbalanced", u),
  sums = list(y ~ treatment * condition + x + (1 | subject) + (1 | item), "unbalanced", u, contrasts = "contr.sum"),
  no_intercept = list(y ~ 0 + treatment + x + (1 | subject) + (1 | item), "unbalanced", u),
  ml = list(y ~ treatment * condition + x + (1 | subject) + (1 | item), "unbalanced", u, REML = FALSE),
  weighted = list(y ~ treatment * condition + x + (1 | subject) + (1 | item), "unbalanced", u, weights = "w"),
  singular = list(flat ~ treatment * condition + x + (1 | subject) + (1 | item), "unbalanced", u),
  empty = list(y ~ a * b + (1 | block), "empty_cell", e))

rows <- list()
add <- function(model, what, row, column, value)
  rows[[length(rows) + 1]] <<- data.frame(model, what, row, column, value = sprintf("%.15g", value))
table <- function(model, what, m) {
  if (is.null(rownames(m))) rownames(m) <- seq_len(nrow(m))
  for (i in seq_len(nrow(m))) for (j in seq_len(ncol(m)))
    add(model, what, rownames(m)[i], colnames(m)[j], m[i, j])
}

for (name in names(models)) {
  m <- models[[name]]
  contrasts <- if (!is.null(m$contrasts)) list(treatment = m$contrasts, condition = m$contrasts)
  fm <- fit(m[[1]], m[[3]], if (is.null(m$REML)) TRUE else m$REML,
            if (!is.null(m$weights)) m[[3]][[m$weights]], contrasts)
  cat(name, getME(fm, "theta"), "\n")
  add(name, "formula", deparse1(m[[1]]), m[[2]], REMLcrit <- if (is.null(m$REML)) 1 else 0)
  table(name, "satterthwaite", coef(summary(fm)))
  for (type in c("I", "II", "III")) table(name, paste("satterthwaite", type), as.matrix(anova(fm, type = type)))
  d <- drop1(fm); table(name, "satterthwaite drop1", as.matrix(d))
  ml <- suppressMessages(do.call(lme4::lmer, list(m[[1]], m[[3]], REML = FALSE, contrasts = contrasts,
    weights = if (!is.null(m$weights)) m[[3]][[m$weights]])))
  d <- suppressMessages(drop1(ml, test = "Chisq"))
  table(name, "lrt drop1", as.matrix(d))
  p <- length(fixef(fm))
  L <- diag(max(p, 3))[2:3, seq_len(p), drop = FALSE]
  if (p > 2) table(name, "satterthwaite joint", as.matrix(contest(fm, L)))
  if (p > 2) table(name, "satterthwaite difference", as.matrix(contest(fm, L[1, ] - L[2, ], joint = FALSE)))
  if (isREML(fm) && is.null(m$weights)) {
    V <- as.matrix(vcovAdj(fm))
    table(name, "kenward-roger", coef(summary(fm, ddf = "Kenward-Roger")))
    table(name, "kenward-roger vcov", V)
    table(name, "kenward-roger III", as.matrix(anova(fm, ddf = "Kenward-Roger")))
    if (p > 2) {
      k <- KRmodcomp(fm, L)$test
      table(name, "kenward-roger joint", as.matrix(k["Ftest", c("stat", "ndf", "ddf", "p.value", "F.scaling")]))
    }
  }
}
write.table(do.call(rbind, rows), file.path(here, "fixed_effects.tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
