// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// stallError is what only someone's help can resolve. It becomes the Stalled
// condition. Every other error is taken to pass and is retried.
type stallError struct {
	reason string // a reason of the Stalled condition
	err    error
}

func (e *stallError) Error() string { return e.err.Error() }
func (e *stallError) Unwrap() error { return e.err }

// refused tells whether the API server understood a write and refuses it, for lack
// of rights, for a quota or a policy, or because it takes the object for invalid.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}
