// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// oldestKubernetes returns the oldest version that the chart permits.
func oldestKubernetes(t *testing.T) *version.Version {
	t.Helper()
	chart, err := os.ReadFile(filepath.Join(apiserver.Root(), "charts", "mqttbridge-operator", "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^kubeVersion: ">=(\d+\.\d+)\.0-0"$`).FindSubmatch(chart)
	if m == nil {
		t.Fatal("Chart.yaml has no kubeVersion of the form \">=1.2.0-0\"")
	}
	return version.MustParseGeneric(string(m[1]))
}

// languageOf returns the functions and the syntax of CEL that an API server permits in a new CRD. It is
// the language of the version before its own, so that a downgrade is possible.
func languageOf(v *version.Version) *environment.EnvSet {
	return environment.MustBaseEnvSet(version.MajorMinor(v.Major(), v.Minor()-1))
}

// The API server of the tests is newer than the oldest API server that the chart permits, which does not know
// later functions and later syntax of CEL.
func TestCRD_Rules_CompileForTheOldestKubernetes(t *testing.T) {
	oldest := languageOf(oldestKubernetes(t))
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(schema(t), internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	rules := compile(t, oldest, "self", structural, true)
	if rules < 20 {
		t.Errorf("only %d rules were found", rules)
	}
	// The function of a later Kubernetes must not compile.
	late := &structuralschema.Structural{
		Generic:              structuralschema.Generic{Type: "string"},
		ValidationExtensions: structuralschema.ValidationExtensions{XValidations: apiextensionsv1.ValidationRules{{Rule: "isSemver(self)"}}},
	}
	results, err := cel.Compile(late, model.SchemaDeclType(late, false), celconfig.PerCallLimit, languageOf(version.MajorMinor(1, 31)), cel.NewExpressionsEnvLoader())
	if err != nil || len(results) != 1 || results[0].Error == nil {
		t.Errorf("a rule for Kubernetes 1.33 compiles for 1.31: %+v, %v", results, err)
	}
}

// compile compiles the rules of a schema and of all schemas in it, and returns their number.
func compile(t *testing.T, oldest *environment.EnvSet, path string, s *structuralschema.Structural, root bool) int {
	t.Helper()
	results, err := cel.Compile(s, model.SchemaDeclType(s, root), celconfig.PerCallLimit, oldest, cel.NewExpressionsEnvLoader())
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	for i, r := range results {
		if r.Error != nil {
			t.Errorf("%s: the rule %q: %v", path, s.XValidations[i].Rule, r.Error)
		}
	}
	rules := len(results)
	for name := range s.Properties {
		property := s.Properties[name]
		rules += compile(t, oldest, path+"."+name, &property, false)
	}
	if s.Items != nil {
		rules += compile(t, oldest, path+"[]", s.Items, false)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		rules += compile(t, oldest, path+"{}", s.AdditionalProperties.Structural, false)
	}
	return rules
}
