// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// stallError is an error that only a user can resolve. It becomes the condition Stalled.
// Every other error is treated as temporary and is retried.
type stallError struct {
	reason string // a reason of the Stalled condition
	err    error
}

func (e *stallError) Error() string { return e.err.Error() }
func (e *stallError) Unwrap() error { return e.err }

// ofSpec reports whether only another spec resolves the error, so that a retry cannot help.
func (e *stallError) ofSpec() bool {
	return e.reason == v1alpha1.ReasonInvalidSpec || e.reason == v1alpha1.ReasonNotAllowed
}

// waitError is an error that ends when another part of the cluster has done its work.
type waitError struct{ error }

// waits reports whether an error ends without an action, and is not worth a warning: another
// object is still being deleted, or an object has changed since it was read.
func waits(err error) bool {
	var wait waitError
	return errors.As(err, &wait) || apierrors.IsConflict(err)
}

// refused reports whether the API server understood a write and refuses it: because a right
// is missing, because of a quota or a policy, or because the object is invalid.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// ofOtherUID reports whether the API server refuses a write because the object has another UID than
// the write names.
func ofOtherUID(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}
