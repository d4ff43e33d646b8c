package objectpatch

import (
	"fmt"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// limitCopies bounds what the copy operations of a JSON patch may add to an object, by what a request may hold: ten that
// copy a member into itself would make a kilobyte a megabyte. The library knows the bound as a variable only.
var limitCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = request.MaxBody })

var errNull = fmt.Errorf("testing a value that is or holds null: %w", jsonpatch.ErrTestFailed)

// Operations applies a JSON patch (RFC 6902) to an object's JSON, whoever it comes from: a client, a webhook or a policy.
func Operations(before []byte, patch jsonpatch.Patch) ([]byte, error) {
	limitCopies()
	if moves(before, patch) {
		return nil, ErrTooMuch
	}
	return RecoverAs(errNull, func() ([]byte, error) { return patch.Apply(before) })
}

// RecoverAs answers a fault where a library that applies patches panics over what it was given: they look into
// nulls, and compare lists where they know only text.
func RecoverAs[T any](fault error, apply func() (T, error)) (out T, err error) {
	defer func() {
		if recover() != nil {
			err = fault
		}
	}()
	return apply()
}
