# The lme4 side of worker.py: the same lines read, the same answers. Timed inside R.
# usage: Rscript worker.R data.csv formula "factor,factor"
argument <- commandArgs(trailingOnly = TRUE)

seconds_of <- function(call, times) {
  vapply(seq_len(times), function(i) {
    start <- as.numeric(Sys.time())
    call()
    as.numeric(Sys.time()) - start
  }, 0)
}

peak_megabytes <- function() {
  if (!file.exists("/proc/self/status")) return(NA_real_)
  line <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

number <- function(x) ifelse(is.finite(x), sprintf("%.16g", x), "null")

answer <- function(...) {
  cat("{", paste0('"', names(c(...)), '":', c(...), collapse = ","), "}\n", sep = "")
  flush(stdout())
}

import_seconds <- seconds_of(function() suppressPackageStartupMessages(library(lme4)), 1)

data <- read.csv(argument[1])
for (group in strsplit(argument[3], ",")[[1]]) data[[group]] <- factor(data[[group]])
new_response <- data$new_response
data$new_response <- NULL
formula <- as.formula(argument[2])
invisible(gc())

answer(
  import_seconds = number(import_seconds),
  versions = sprintf(
    '{"lme4":"%s","R":"%s","BLAS of R":"%s"}', packageVersion("lme4"),
    getRversion(), basename(extSoftVersion()[["BLAS"]])
  ),
  megabytes = number(peak_megabytes())
)

fitted <- result <- NULL
tasks <- list(
  fit = function() fitted <<- result <<- lmer(formula, data),
  refit = function() result <<- refit(fitted, newresp = new_response)
)
input <- file("stdin", "r")
while (length(line <- readLines(input, 1)) == 1) {
  words <- strsplit(line, " ")[[1]]
  if (words[1] == "objective") {
    answer(objective = number(REMLcrit(result)))
    next
  }
  seconds <- suppressMessages(seconds_of(tasks[[words[1]]], as.integer(words[2])))
  answer(
    seconds = paste0("[", paste(number(seconds), collapse = ","), "]"),
    megabytes = number(peak_megabytes())
  )
}
