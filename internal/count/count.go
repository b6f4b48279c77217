// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package count writes numbers of things for users: 1 message, 2 messages.
package count

import (
	"fmt"
	"strings"
)

// Of returns a number with its noun, which is in the singular. The plural ends with s, or with es after ch.
func Of[N int | int32 | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	ending := "s"
	if strings.HasSuffix(noun, "ch") {
		ending = "es"
	}
	return fmt.Sprintf("%d %s%s", n, noun, ending)
}
