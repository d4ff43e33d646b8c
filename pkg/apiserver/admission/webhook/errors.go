package webhook

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// callingError is a webhook that could not be asked, or gave no answer: its failure policy decides what follows.
type callingError struct {
	webhook string
	err     error
}

func callError(webhook string, err error) *callingError { return &callingError{webhook, err} }

// Error is what clients read.
func (e *callingError) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.webhook, e.err)
}

// Unwrap gives the cause.
func (e *callingError) Unwrap() error { return e.err }

// ignorable says whether err is a failure that the policy Ignore passes over.
func ignorable(err error) bool {
	var e *callingError
	return errors.As(err, &e)
}

// answer is what the client of the write gets for err.
func answer(err error) error {
	if ignorable(err) {
		return apierrors.NewInternalError(err)
	}
	return err
}

// rejection words a webhook's refusal.
func rejection(webhook string, result *metav1.Status) error {
	s := metav1.Status{Status: metav1.StatusFailure}
	if result != nil {
		s = *result
	}
	s.Code = max(s.Code, http.StatusBadRequest)
	if s.Status == "" || s.Status == metav1.StatusSuccess {
		s.Status = metav1.StatusFailure
	}
	denied := fmt.Sprintf("admission webhook %q denied the request", webhook)
	switch {
	case s.Message != "":
		s.Message = denied + ": " + s.Message
	case s.Reason != "":
		s.Message = denied + ": " + string(s.Reason)
	default:
		s.Message = denied + " without explanation"
	}
	return &apierrors.StatusError{ErrStatus: s}
}

// timedOut ends a write whose own time is over.
func timedOut() error {
	return apierrors.NewTimeoutError("request did not complete within requested timeout", 0)
}
