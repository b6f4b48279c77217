// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The operator decodes the bridges of all namespaces in one list, and the status holds values that a
// tenant can write with the ServiceAccount of a runner. A value that the API server accepts, and that
// Go cannot decode, would stop the operator for all bridges, also after each restart.

// values are values for a field of any type.
var values = []any{
	nil, true, "", "x", 1.5, 1e30, int64(0), int64(-1), int64(math.MaxInt32) + 1, int64(math.MinInt32) - 1, int64(math.MaxInt64), int64(math.MinInt64),
	"1", "-1", "+.5", ".5", "1.", "1.Ei", "0.5Ki", "1e3", "1E3", "1E", "1e+30", "1.e-30", ".5e-30", "99999999999999999999Ei", "0e-99", "1e99",
	"1e1.5", "1e.5", "1e99999999999999999999", "1e", "Ki", "1 ", "1e-1000", "0e1000",
	"2026-03-01T12:00:00Z", "2026-03-01T12:00:00.123456Z", "2026-03-01T12:00:00+14:00", "2026-03-01T12:00:00.5-05:30",
	"2026-03-01T12:00:00.1234567890123Z", "2026-03-01t12:00:00z", "2026-03-01T12:00:00Zt", "2026-03-01T12:00:00ZTx", "2026-03-01T12:00:00x5Z",
	"2026-03-01T12:00:00+99:99", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", "2026-03-01T25:00:00Z", "2026-03-01T12:00:60Z", "0000-00-00T00:00:00Z",
}

// huge are quantities for which the decoder would need minutes, and more memory than the operator has.
var huge = []string{"1e-2000000000", "1000000000000000000000e2000000000", "0e-2000000000", "1e2000000000"}

// leaf is a field that is neither an object nor a list.
type leaf struct {
	path   string
	schema *apiextensionsv1.JSONSchemaProps
	// in returns an object with a value of the field, and with no other field.
	in func(value any) any
}

// isQuantity reports whether the field is a quantity.
func (l *leaf) isQuantity() bool { return l.schema.XIntOrString && l.schema.Pattern != "" }

// leaves returns all leaves of a schema.
func leaves(l leaf) (out []leaf) {
	s := l.schema
	for name := range s.Properties {
		property := s.Properties[name]
		out = append(out, leaves(leaf{l.path + "." + name, &property, func(v any) any { return l.in(map[string]any{name: v}) }})...)
	}
	switch {
	case s.Items != nil:
		return append(out, leaves(leaf{l.path + "[]", s.Items.Schema, func(v any) any { return l.in([]any{v}) }})...)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return append(out, leaves(leaf{l.path + "{}", s.AdditionalProperties.Schema, func(v any) any { return l.in(map[string]any{"key": v}) }})...)
	case s.Type == "object":
		return out
	default:
		return append(out, l)
	}
}

// accepts returns a function that reports whether the schema of a leaf permits a value.
func (l *leaf) accepts(t *testing.T) func(value any) bool {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(l.schema, internal, nil); err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		t.Fatalf("%s: %v", l.path, err)
	}
	return func(value any) bool { return len(validation.ValidateCustomResource(nil, value, validator)) == 0 }
}

func TestSchema_AcceptedValues_CanBeDecoded(t *testing.T) {
	all := leaves(leaf{"", schema(t), func(v any) any { return v }})
	quantities, times := 0, 0
	for _, l := range all {
		accepts := l.accepts(t)
		for _, value := range values {
			if !accepts(value) {
				continue
			}
			text, err := json.Marshal(l.in(value))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &v1alpha1.MQTTBridge{}); err != nil {
				t.Errorf("the API server accepts %s: %#v, and it cannot be decoded: %v", l.path, value, err)
			}
		}
		switch {
		case l.isQuantity():
			quantities++
			for _, value := range huge {
				if accepts(value) {
					t.Errorf("the API server accepts %s: %s, which the decoder expands to all its digits", l.path, value)
				}
			}
			for _, value := range []any{"100m", "1.5Gi", "0.5", "1e3", "12E", "64Ki", "268435460", int64(1024)} {
				if !accepts(value) {
					t.Errorf("the API server refuses %s: %v", l.path, value)
				}
			}
		case l.schema.Format == "date-time":
			times++
			if !accepts("2026-03-01T12:00:00Z") && !accepts("2026-03-01T12:00:00.123456Z") {
				t.Errorf("the API server refuses all times in %s", l.path)
			}
		}
	}
	if quantities < 7 || times < 15 {
		t.Errorf("the schema has %d quantities and %d times; the test does not find them", quantities, times)
	}
}

func TestAPIServer_ValuesThatCannotBeDecoded_AreRefused(t *testing.T) {
	apiserver.Need(t, server)
	for name, tt := range map[string]struct {
		path  []any
		value any
	}{
		"a quantity with a fraction in its exponent": {[]any{"spec", "runner", "resources", "limits", "memory"}, "1e1.5"},
		"a quantity with two billion digits":         {[]any{"spec", "runner", "resources", "limits", "memory"}, huge[0]},
		"a size with two billion digits":             {[]any{"spec", "buffer", "memory", "size"}, huge[0]},
		"a port above 32 bits":                       {[]any{"spec", "runner", "networkPolicy", "extraEgress"}, []any{map[string]any{"ports": []any{map[string]any{"port": int64(math.MaxInt32) + 1}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			u := parse(t, files(t, "test", "manifests", "valid")["everything"])
			set(t, u.Object, tt.path, tt.value)
			if got := causes(t, submit(t, u)); !slices.ContainsFunc(got, func(c metav1.StatusCause) bool {
				return c.Type == metav1.CauseTypeFieldValueInvalid
			}) {
				t.Errorf("the causes are %+v", got)
			}
		})
	}
}
