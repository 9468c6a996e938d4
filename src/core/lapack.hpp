// BLAS and LAPACK, taken at run time from SciPy: nothing is linked.
#pragma once

namespace mm {

struct Lapack {
    using Potrf = void (*)(char* uplo, int* n, double* a, int* lda, int* info);
    using Trsm = void (*)(char* side, char* uplo, char* trans, char* diag, int* m, int* n,
                          double* alpha, double* a, int* lda, double* b, int* ldb);
    using Syrk = void (*)(char* uplo, char* trans, int* n, int* k, double* alpha, double* a,
                          int* lda, double* beta, double* c, int* ldc);
    using Symm = void (*)(char* side, char* uplo, int* m, int* n, double* alpha, double* a,
                          int* lda, double* b, int* ldb, double* beta, double* c, int* ldc);

    Potrf dpotrf = nullptr, dpotri = nullptr;
    Trsm dtrsm = nullptr;
    Syrk dsyrk = nullptr;
    Symm dsymm = nullptr;
};

// Set once by the Python side, before the first fit that is large enough to need it.
Lapack& lapack();

}  // namespace mm
