// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"strings"
)

// WithoutAlias returns an error of a YAML parser. The error about an unknown alias quotes the value, which
// may be a secret that begins with *, so that another error replaces it.
func WithoutAlias(err error) error {
	if strings.Contains(err.Error(), "unknown anchor") {
		return errors.New("a value begins with * and has no quotes, so YAML reads it as an alias; write the value in quotes")
	}
	return err
}
