// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bounds narrows the schema of a CRD, so that the API server accepts only values that Go can
// decode. controller-gen writes wider schemas for four types of Kubernetes:
//
//   - [resource.Quantity]: the pattern permits 1e1.5, which is not a quantity, and 1e-2000000000, for
//     which the decoder computes a number with two billion digits;
//   - [intstr.IntOrString]: numbers above 2147483647;
//   - [metav1.Time]: the format date-time permits lower case letters, and any text after the time;
//   - [metav1.MicroTime], the type of the fields with the name time: Go reads only times with six digits
//     after the point.
//
// The operator decodes all bridges of the cluster in one list. One bridge that it cannot decode would
// stop the operator for all of them, also after a restart.
//
// It changes the lines of the YAML text, and leaves its style as it is.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := boundFile(path); err != nil {
			fmt.Fprintln(os.Stderr, "narrowing the schema:", err)
			os.Exit(1)
		}
	}
}

func boundFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(bound(string(text))), 0o644)
}

const (
	// wideQuantity is the pattern that controller-gen writes for a quantity.
	wideQuantity = `pattern: ^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`
	// quantity limits the digits of a quantity and of its exponent, which has no fraction.
	quantity = `pattern: ^[+-]?([0-9]{1,32}(\.[0-9]{0,32})?|\.[0-9]{1,32})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$`

	dateTime = "format: date-time"
	// clock limits a time to the form of RFC 3339 that Go reads. The format limits the numbers in it.
	clock = `pattern: ^[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`

	// microClock is clock for a time with microseconds.
	microClock  = `pattern: ^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	microFields = "time:"

	intOrString = "x-kubernetes-int-or-string: true"
)

// bound narrows all patterns in a YAML text. The keys of an object in the text are sorted.
func bound(text string) string {
	lines := strings.Split(text, "\n")
	// keyAt returns a line without its indentation, or an empty string if there is no such line.
	keyAt := func(i int) string {
		if i < 0 || i >= len(lines) {
			return ""
		}
		return strings.TrimLeft(lines[i], " ")
	}
	// fieldOf returns the key of the object that line i is a part of.
	fieldOf := func(i int) string {
		indent := len(lines[i]) - len(keyAt(i))
		for i--; i >= 0; i-- {
			if key := keyAt(i); key != "" && len(lines[i])-len(key) < indent {
				return key
			}
		}
		return ""
	}
	out := make([]string, 0, len(lines))
	for i, line := range lines {
		key := keyAt(i)
		indent := strings.TrimSuffix(line, key)
		switch {
		case key == wideQuantity:
			out = append(out, indent+quantity)
		case key == dateTime && !strings.HasPrefix(keyAt(i+1), "pattern: "):
			pattern := clock
			if fieldOf(i) == microFields {
				pattern = microClock
			}
			out = append(out, line, indent+pattern)
		case key == intOrString && !strings.HasPrefix(keyAt(i-1), "pattern: ") && !strings.HasPrefix(keyAt(i-1), "minimum: "):
			out = append(out, indent+"maximum: 2147483647", indent+"minimum: -2147483648", line)
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
