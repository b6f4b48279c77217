// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd checks with a real API server that it accepts every valid manifest and rejects every
// invalid manifest with the field, the reason and the message that the API promises.
//
// test/manifests holds the manifests. An invalid manifest begins with the comments "# error: FIELD:
// MESSAGE" and "# reason: REASON". MESSAGE may be a part of the message.
package crd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// files returns the manifests of a directory, by file name without extension.
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

// parse decodes a manifest.
func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetNamespace(metav1.NamespaceDefault)
	return u
}

// submit sends the object to the API server as a dry run.
func submit(t *testing.T, u *unstructured.Unstructured) error {
	t.Helper()
	return apiserver.Need(t, server).Client.Create(t.Context(), u.DeepCopy(), client.DryRunAll,
		client.FieldValidation(metav1.FieldValidationStrict))
}

// expectation is the result that the first lines of an invalid manifest specify.
type expectation struct{ field, message, reason string }

func expected(t *testing.T, manifest string) expectation {
	t.Helper()
	lines := strings.SplitN(manifest, "\n", 3)
	rest, isError := strings.CutPrefix(lines[0], "# error: ")
	field, message, hasMessage := strings.Cut(rest, ": ")
	reason, hasReason := strings.CutPrefix(lines[1], "# reason: ")
	if !isError || !hasMessage || !hasReason {
		t.Fatalf("the manifest does not begin with \"# error: \" and \"# reason: \": %q, %q", lines[0], lines[1])
	}
	return expectation{field, message, reason}
}

// unchecked is part of the message that the API server adds if a value that violates the schema
// prevents the evaluation of the rules.
const unchecked = "some validation rules were not checked"

// causes returns the causes of a rejection.
func causes(t *testing.T, err error) []metav1.StatusCause {
	t.Helper()
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		t.Fatalf("not rejected as invalid: %v", err)
	}
	return slices.DeleteFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return strings.Contains(c.Message, unchecked)
	})
}

func TestManifests_Valid_AreAccepted(t *testing.T) {
	for name, manifest := range files(t, "test", "manifests", "valid") {
		t.Run(name, func(t *testing.T) {
			if err := submit(t, parse(t, manifest)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSamples_All_AreAccepted(t *testing.T) {
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

func TestManifests_Invalid_AreRejectedWithFieldReasonAndMessage(t *testing.T) {
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
				t.Errorf("rejected with %d causes, want 1: %+v", len(got), got)
			}
		})
	}
}

// schema returns the schema of the API from the CRD.
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

func TestRules_All_HaveAManifestThatViolatesThem(t *testing.T) {
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

// ownLine matches a line of a description that begins a new line on purpose: an entry of a list, or
// a row of a table.
var ownLine = regexp.MustCompile(`^(?:[-*] |\|)`)

func TestDescriptions_Paragraphs_HaveNoLineBreaks(t *testing.T) {
	var check func(s *apiextensionsv1.JSONSchemaProps, path string)
	check = func(s *apiextensionsv1.JSONSchemaProps, path string) {
		lines := strings.Split(s.Description, "\n")
		for i := 1; i < len(lines); i++ {
			if lines[i-1] != "" && lines[i] != "" && !ownLine.MatchString(lines[i]) && !strings.HasPrefix(lines[i-1], "|") {
				t.Errorf("%s: %q begins a new line within a paragraph; kubectl explain would show a short line: run make manifests", path, lines[i])
			}
		}
		for name := range s.Properties {
			property := s.Properties[name]
			check(&property, path+"."+name)
		}
		if s.Items != nil {
			check(s.Items.Schema, path+"[]")
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			check(s.AdditionalProperties.Schema, path+"{}")
		}
	}
	check(schema(t), "")
}

// foreign lists the fields with types of Kubernetes, which limits their values when pods are
// created.
var foreign = []string{
	"resources", "tolerations", "affinity", "labelSelector", "topologySpreadConstraints", "dnsConfig", "hostAliases", "env", "seLinuxOptions", "serversTo", "extraEgress",
}

// alternatives lists the fields that a manifest leaves out if it sets another field in their place.
var alternatives = []string{
	"username.value", "secretKeyRef", "configMapKeyRef", "clusterTrustBundle", "clusterTrustBundle.name", "clusterTrustBundle.signerName",
}

// walk visits a schema and all schemas in it. A path consists of field names and, for the first
// item of a list, 0.
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

// dotted returns a path in the notation of the API server.
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

// items returns the path with each 0 replaced by the index of the first item that has the rest of
// the path, because not every item of a list has every field. It returns false if no item has it.
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

// set replaces the value at a path. It adds the field if it is an alternative that the manifest
// leaves out, and all fields below it.
func set(t *testing.T, in any, path []any, value any) {
	t.Helper()
	added := false
	for i, p := range path {
		last := i == len(path)-1
		switch key := p.(type) {
		case string:
			object, ok := in.(map[string]any)
			isAlternative := func(a string) bool { return strings.HasSuffix(dotted(path[:i+1]), "."+a) }
			if ok && object[key] == nil && (added || slices.ContainsFunc(alternatives, isAlternative)) {
				added, object[key] = true, map[string]any{}
			}
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

// violation is a value that violates a bound or an enumeration, and part of the message of the
// rejection.
type violation struct {
	value   any
	message string
}

// violations returns values that violate the bounds of a schema, and values at the bounds, which
// are valid.
func violations(s *apiextensionsv1.JSONSchemaProps) (rejected []violation, accepted []any) {
	if s.Minimum != nil {
		rejected = append(rejected, violation{int64(*s.Minimum) - 1, "greater than or equal to"})
		accepted = append(accepted, int64(*s.Minimum))
	}
	if s.Maximum != nil {
		rejected = append(rejected, violation{int64(*s.Maximum) + 1, "less than or equal to"})
		accepted = append(accepted, int64(*s.Maximum))
	}
	if len(s.Enum) > 0 {
		value := any("Nonsense")
		if s.Type == "integer" {
			value = int64(99)
		}
		rejected = append(rejected, violation{value, "Unsupported value"})
	}
	if ptr.Deref(s.MinLength, 0) > 0 {
		rejected = append(rejected, violation{"", "at least 1 chars long"})
	}
	if s.MaxLength != nil {
		rejected = append(rejected, violation{strings.Repeat("a", int(*s.MaxLength)+1), "may not be more than"})
	}
	if ptr.Deref(s.MinItems, 0) > 0 {
		rejected = append(rejected, violation{[]any{}, "at least 1 items"})
	}
	if s.MaxItems != nil {
		rejected = append(rejected, violation{make([]any, *s.MaxItems+1), "must have at most"})
	}
	if s.MaxProperties != nil {
		many := map[string]any{}
		for i := range *s.MaxProperties + 1 {
			many[fmt.Sprintf("key-%d", i)] = "value"
		}
		rejected = append(rejected, violation{many, "must have at most"})
	}
	return rejected, accepted
}

func TestBounds_ValueBeyond_IsRejected(t *testing.T) {
	valid := files(t, "test", "manifests", "valid")
	// with returns the manifest that has the field or its alternative, and the field's path in it.
	with := func(t *testing.T, path []any) (*unstructured.Unstructured, []any) {
		other := parse(t, valid["buffer-on-an-existing-claim"])
		if at, ok := items(other.Object, path); ok && path[len(path)-1] == "existingClaim" {
			return other, at
		}
		if slices.Contains(path, any("standby")) { // everything has a buffer on disk
			return parse(t, valid["two-runners"]), path
		}
		if slices.Contains(path, any("replicas")) {
			return parse(t, valid["two-runners-with-a-buffer-in-memory"]), path
		}
		everything := parse(t, valid["everything"])
		at, _ := items(everything.Object, path)
		return everything, at
	}
	walk(schema(t), nil, func(path []any, s *apiextensionsv1.JSONSchemaProps) {
		rejected, accepted := violations(s)
		for _, b := range rejected {
			t.Run(dotted(path)+"/"+b.message, func(t *testing.T) {
				u, path := with(t, path)
				set(t, u.Object, path, b.value)
				got := causes(t, submit(t, u))
				if !slices.ContainsFunc(got, func(c metav1.StatusCause) bool {
					return c.Field == dotted(path) && strings.Contains(c.Message, b.message)
				}) {
					t.Errorf("want %s of %s, got %+v", b.message, dotted(path), got)
				}
			})
		}
		for _, value := range accepted {
			t.Run(fmt.Sprintf("%s/%v", dotted(path), value), func(t *testing.T) {
				u, path := with(t, path)
				set(t, u.Object, path, value)
				if err := submit(t, u); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestSchema_ListsMapsAndStrings_HaveBounds(t *testing.T) {
	walk(schema(t), nil, func(path []any, s *apiextensionsv1.JSONSchemaProps) {
		if len(path) == 0 {
			return
		}
		switch {
		case s.Type == "string" && len(s.Enum) == 0 && s.MaxLength == nil,
			s.Type == "array" && s.MaxItems == nil,
			s.Type == "object" && s.AdditionalProperties != nil && s.MaxProperties == nil:
			t.Errorf("%s has no upper bound", dotted(path))
		}
	})
}
