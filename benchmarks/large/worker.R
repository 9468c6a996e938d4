# The lme4 side of worker.py: the same stages, from columns written by data.py.
# usage: Rscript worker.R folder formula fit|evaluation
argument <- commandArgs(trailingOnly = TRUE)
start <- as.numeric(Sys.time())

tell <- function(stage, ...) {
  values <- c(stage = sprintf('"%s"', stage), at = sprintf("%.6f", as.numeric(Sys.time()) - start), ...)
  cat("{", paste0('"', names(values), '":', values, collapse = ","), "}\n", sep = "")
  flush(stdout())
}

suppressPackageStartupMessages(library(lme4))
tell("import", version = sprintf('"%s"', packageVersion("lme4")))
start <- as.numeric(Sys.time())

data <- list()
columns <- read.table(file.path(argument[1], "columns.txt"), stringsAsFactors = FALSE)
for (i in seq_len(nrow(columns))) {
  name <- columns[i, 1]
  path <- file.path(argument[1], name)
  data[[name]] <- if (columns[i, 2] == "factor") {
    structure(readBin(paste0(path, ".codes"), "integer", columns[i, 3]),
      levels = readLines(paste0(path, ".labels")), class = "factor"
    )
  } else {
    readBin(paste0(path, ".double"), "double", columns[i, 3])
  }
}
attr(data, "row.names") <- .set_row_names(columns[1, 3])
class(data) <- "data.frame"
formula <- as.formula(argument[2])
invisible(gc())
tell("read")

if (argument[3] == "evaluation") {
  parsed <- lFormula(formula, data)
  tell("parsed")
  criterion <- do.call(mkLmerDevfun, parsed)
  tell("prepared")
  for (i in 1:2) {
    invisible(criterion(rep(1, length(parsed$reTrms$theta))))
    tell("evaluated")
  }
} else {
  fm <- lmer(formula, data)
  tell("fitted", evaluations = fm@optinfo$feval)
  text <- capture.output(print(summary(fm, correlation = FALSE)))
  tell("printed")
  levels <- vapply(ranef(fm, condVar = FALSE), nrow, 0L)
  tell("done",
    objective = sprintf("%.16g", REMLcrit(fm)),
    levels = paste0("{", paste0('"', names(levels), '":', levels, collapse = ","), "}")
  )
}
