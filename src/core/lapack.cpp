#include "lapack.hpp"

namespace mm {

Lapack& lapack() {
    static Lapack functions;
    return functions;
}

}  // namespace mm
