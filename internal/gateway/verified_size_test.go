package gateway

import (
	"testing"
	"unsafe"
)

// A token that is looked up costs two cache lines, and what its user is called in the
// application is not among its claims: it would make them three (K15).
func TestK15VerifiedTokensFitTwoCacheLines(t *testing.T) {
	if size := unsafe.Sizeof(verifiedToken{}); size > 128 {
		t.Errorf("a verified token has %d bytes, more than two cache lines of 64", size)
	}
}
