// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd checks with a real API server that it takes every manifest that is
// valid and refuses every other with the field, the reason and the message that the
// API promises.
//
// test/manifests holds the manifests. One that is invalid begins with the comments
// "# error: FIELD: MESSAGE", a part of the message sufficing, and "# reason: REASON".
package crd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, func(_ context.Context, s *apiserver.Server) error {
		server = s
		return nil
	}))
}

// files are the manifests of a directory, by name.
func files(t *testing.T, elem ...string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(append([]string{apiserver.Root()}, append(elem, "*.yaml")...)...))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests in %v: %v", elem, err)
	}
	out := map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(path), ".yaml")] = string(raw)
	}
	return out
}

// parse reads a manifest.
func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetNamespace(metav1.NamespaceDefault)
	return u
}

// submit asks the API server whether it would take the object.
func submit(t *testing.T, u *unstructured.Unstructured) error {
	t.Helper()
	return apiserver.Need(t, server).Client.Create(t.Context(), u.DeepCopy(), client.DryRunAll,
		client.FieldValidation(metav1.FieldValidationStrict))
}

// expectation is what the first lines of an invalid manifest say.
type expectation struct{ field, message, reason string }

func expected(t *testing.T, manifest string) expectation {
	t.Helper()
	lines := strings.SplitN(manifest, "\n", 3)
	rest, isError := strings.CutPrefix(lines[0], "# error: ")
	field, message, hasMessage := strings.Cut(rest, ": ")
	reason, hasReason := strings.CutPrefix(lines[1], "# reason: ")
	if !isError || !hasMessage || !hasReason {
		t.Fatalf("the manifest does not say what is wrong with it: %q, %q", lines[0], lines[1])
	}
	return expectation{field, message, reason}
}

// unchecked is what the API server adds where a value that the schema refuses keeps it
// from checking the rules.
const unchecked = "some validation rules were not checked"

// causes are what the API server names as wrong.
func causes(t *testing.T, err error) []metav1.StatusCause {
	t.Helper()
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		t.Fatalf("not refused as invalid: %v", err)
	}
	return slices.DeleteFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return strings.Contains(c.Message, unchecked)
	})
}

func TestValidManifestsAreTaken(t *testing.T) {
	for name, manifest := range files(t, "test", "manifests", "valid") {
		t.Run(name, func(t *testing.T) {
			if err := submit(t, parse(t, manifest)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheSamplesAreTaken(t *testing.T) {
	for name, manifest := range files(t, "config", "samples") {
		if name == "kustomization" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if err := submit(t, parse(t, manifest)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInvalidManifestsAreRefusedWithFieldReasonAndMessage(t *testing.T) {
	for name, manifest := range files(t, "test", "manifests", "invalid") {
		t.Run(name, func(t *testing.T) {
			want := expected(t, manifest)
			got := causes(t, submit(t, parse(t, manifest)))
			if !slices.ContainsFunc(got, func(c metav1.StatusCause) bool {
				return c.Field == want.field && string(c.Type) == want.reason && strings.Contains(c.Message, want.message)
			}) {
				t.Errorf("want %+v, got %+v", want, got)
			}
			if len(got) != 1 {
				t.Errorf("refused for %d things, not for the one that is wrong: %+v", len(got), got)
			}
		})
	}
}

// schema is that of the API, as it is installed.
func schema(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(apiserver.Root(), "config", "crd", "bases", "mqttbridge.io_mqttbridges.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func TestEveryRuleHasAManifestThatItRefuses(t *testing.T) {
	var wanted []expectation
	for _, manifest := range files(t, "test", "manifests", "invalid") {
		wanted = append(wanted, expected(t, manifest))
	}
	walk(schema(t), nil, func(path []any, s *apiextensionsv1.JSONSchemaProps) {
		for _, rule := range s.XValidations {
			if !slices.ContainsFunc(wanted, func(e expectation) bool { return strings.HasPrefix(rule.Message, e.message) }) {
				t.Errorf("no manifest violates the rule of %s: %s", dotted(path), rule.Message)
			}
			if rule.Reason == nil || rule.Message == "" {
				t.Errorf("the rule %s has no reason or no message", rule.Rule)
			}
		}
	})
}

// foreign are the fields whose types are Kubernetes' own, which bounds them where
// pods are made.
var foreign = []string{"resources", "tolerations", "affinity"}

// walk visits a schema and everything in it. A path is of field names and, for the
// first item of a list, 0.
func walk(s *apiextensionsv1.JSONSchemaProps, path []any, visit func([]any, *apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for name := range s.Properties {
		if len(path) == 0 && name != "spec" || slices.Contains(foreign, name) {
			continue
		}
		property := s.Properties[name]
		walk(&property, append(slices.Clone(path), name), visit)
	}
	if s.Items != nil {
		walk(s.Items.Schema, append(slices.Clone(path), 0), visit)
	}
}

// dotted writes a path as the API server does.
func dotted(path []any) string {
	var b strings.Builder
	for _, p := range path {
		if i, ok := p.(int); ok {
			fmt.Fprintf(&b, "[%d]", i)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprint(&b, p)
	}
	return b.String()
}

// items returns a path with the first items that have the rest of it: not every item
// of a list has every field.
func items(in any, path []any) ([]any, bool) {
	if len(path) == 0 {
		return nil, true
	}
	switch key := path[0].(type) {
	case string:
		object, ok := in.(map[string]any)
		if !ok || object[key] == nil {
			return path, false
		}
		rest, ok := items(object[key], path[1:])
		return append([]any{key}, rest...), ok
	case int:
		list, _ := in.([]any)
		for i := range list {
			if rest, ok := items(list[i], path[1:]); ok {
				return append([]any{i}, rest...), true
			}
		}
	}
	return path, false
}

// set puts a value where a path leads.
func set(t *testing.T, in any, path []any, value any) {
	t.Helper()
	for i, p := range path {
		last := i == len(path)-1
		switch key := p.(type) {
		case string:
			object, ok := in.(map[string]any)
			if !ok || object[key] == nil {
				t.Fatalf("test/manifests/valid/everything.yaml lacks %s", dotted(path[:i+1]))
			}
			if last {
				object[key] = value
			}
			in = object[key]
		case int:
			list, ok := in.([]any)
			if !ok || len(list) == 0 {
				t.Fatalf("test/manifests/valid/everything.yaml lacks %s", dotted(path[:i+1]))
			}
			if last {
				list[key] = value
			}
			in = list[key]
		}
	}
}

// breach is a value that a bound or an enumeration refuses, and what it is told.
type breach struct {
	value   any
	message string
}

// breaches are values that a schema's own bounds refuse, and values at the bounds,
// which they take.
func breaches(s *apiextensionsv1.JSONSchemaProps) (refused []breach, taken []any) {
	if s.Minimum != nil {
		refused = append(refused, breach{int64(*s.Minimum) - 1, "greater than or equal to"})
		taken = append(taken, int64(*s.Minimum))
	}
	if s.Maximum != nil {
		refused = append(refused, breach{int64(*s.Maximum) + 1, "less than or equal to"})
		taken = append(taken, int64(*s.Maximum))
	}
	if len(s.Enum) > 0 {
		value := any("Nonsense")
		if s.Type == "integer" {
			value = int64(99)
		}
		refused = append(refused, breach{value, "Unsupported value"})
	}
	if ptr.Deref(s.MinLength, 0) > 0 {
		refused = append(refused, breach{"", "at least 1 chars long"})
	}
	if s.MaxLength != nil {
		refused = append(refused, breach{strings.Repeat("a", int(*s.MaxLength)+1), "may not be more than"})
	}
	if ptr.Deref(s.MinItems, 0) > 0 {
		refused = append(refused, breach{[]any{}, "at least 1 items"})
	}
	if s.MaxItems != nil {
		refused = append(refused, breach{make([]any, *s.MaxItems+1), "must have at most"})
	}
	if s.MaxProperties != nil {
		many := map[string]any{}
		for i := range *s.MaxProperties + 1 {
			many[fmt.Sprintf("key-%d", i)] = "value"
		}
		refused = append(refused, breach{many, "must have at most"})
	}
	return refused, taken
}

func TestEveryBoundAndEnumerationRefusesWhatIsBeyondIt(t *testing.T) {
	everything := files(t, "test", "manifests", "valid")["everything"]
	walk(schema(t), nil, func(path []any, s *apiextensionsv1.JSONSchemaProps) {
		refused, taken := breaches(s)
		for _, b := range refused {
			t.Run(dotted(path)+"/"+b.message, func(t *testing.T) {
				u := parse(t, everything)
				path, _ := items(u.Object, path)
				set(t, u.Object, path, b.value)
				got := causes(t, submit(t, u))
				if !slices.ContainsFunc(got, func(c metav1.StatusCause) bool {
					return c.Field == dotted(path) && strings.Contains(c.Message, b.message)
				}) {
					t.Errorf("want %s of %s, got %+v", b.message, dotted(path), got)
				}
			})
		}
		for _, value := range taken {
			t.Run(fmt.Sprintf("%s/%v", dotted(path), value), func(t *testing.T) {
				u := parse(t, everything)
				path, _ := items(u.Object, path)
				set(t, u.Object, path, value)
				if err := submit(t, u); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestEveryListMapAndStringIsBounded(t *testing.T) {
	walk(schema(t), nil, func(path []any, s *apiextensionsv1.JSONSchemaProps) {
		if len(path) == 0 {
			return
		}
		switch {
		case s.Type == "string" && len(s.Enum) == 0 && s.MaxLength == nil,
			s.Type == "array" && s.MaxItems == nil,
			s.Type == "object" && s.AdditionalProperties != nil && s.MaxProperties == nil:
			t.Errorf("%s has no bound", dotted(path))
		}
	})
}
