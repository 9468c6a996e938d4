# The R side: answers "task" with the seconds that one unit of it took.
# usage: Rscript worker.R data.csv formula "factor,factor"
argument <- commandArgs(trailingOnly = TRUE)
suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(pbkrtest)
})
data <- read.csv(argument[1])
for (group in strsplit(argument[3], ",")[[1]]) data[[group]] <- factor(data[[group]])
formula <- as.formula(argument[2])
reml <- lme4::lmer(formula, data)
ml <- lme4::lmer(formula, data, REML = FALSE)
tested <- lmerTest::lmer(formula, data)
parameters <- function(m) c(getME(m, "theta"), sigma(m), fixef(m))

tasks <- list(
  bootstrap = function() bootMer(reml, parameters, nsim = 100, seed = 1),
  profile = function() confint(profile(ml)),
  satterthwaite = function() coef(summary(tested, ddf = "Satterthwaite")),
  "kenward-roger" = function() coef(summary(tested, ddf = "Kenward-Roger"))
)
cat("{}\n")
flush(stdout())
input <- file("stdin", "r")
while (length(line <- readLines(input, 1)) == 1) {
  start <- as.numeric(Sys.time())
  suppressWarnings(suppressMessages(tasks[[line]]()))
  seconds <- as.numeric(Sys.time()) - start
  if (line == "bootstrap") seconds <- seconds / 100
  cat(sprintf('{"seconds":%.9g}\n', seconds))
  flush(stdout())
}
