// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
)

// Errors of the operations. Each other error is a mistake in a request.
var (
	// ErrConflict means that another member has changed the holder's part of the record.
	ErrConflict = errors.New("another member of the group has changed the Lease")
	// ErrNotFound means that the Lease does not exist.
	ErrNotFound = errors.New("the Lease of the group does not exist; the operator creates it, so check that the operator runs; the runner tries again")
	// ErrForbidden means that the API server does not grant the rights of a member.
	ErrForbidden = errors.New("the runner may not use the Lease of the group; the operator grants get, watch and update of it in the Role of the bridge, so check that the operator runs and that no policy forbids them")
	// ErrUnreachable means that the API server has not answered, or could not do its work. A write
	// may have been applied.
	ErrUnreachable = errors.New("the API server is unreachable")
)

// classify adds the kind of an error of a request.
func classify(err error) error {
	kind := ErrUnreachable
	var status *kubeapi.StatusError
	if errors.As(err, &status) {
		switch {
		case status.Code == http.StatusConflict:
			kind = ErrConflict
		case status.Code == http.StatusNotFound:
			kind = ErrNotFound
		case status.Code == http.StatusForbidden, status.Code == http.StatusUnauthorized:
			kind = ErrForbidden
		case status.Code < http.StatusInternalServerError && status.Code != http.StatusTooManyRequests && status.Code != http.StatusRequestTimeout:
			return fmt.Errorf("writing the Lease of the group: %w", err)
		}
	}
	return fmt.Errorf("%w: %w", kind, err)
}
