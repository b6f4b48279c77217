// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/check"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// others are the blocks of YAML that are no part of a bridge, by a part of their text, with the reason.
var others = map[string]string{
	"cert-manager.io/v1":                        "an object of cert-manager, whose schema is not in this project",
	"external-secrets.io/v1":                    "an object of External Secrets Operator, whose schema is not in this project",
	"global:\n  imageRegistry":                  "values of the chart, which test/install checks",
	"metrics:\n  readers":                       "values of the chart, which test/install checks",
	"image:\n  repository":                      "values of the chart, which test/install checks",
	"image:\n  digest":                          "values of the chart, which test/install checks",
	"podSpecExtra:\n  dnsPolicy":                "values of the chart, which test/install checks",
	"# kustomization.yaml":                      "a kustomization, which test/install renders",
	"healthCheckExprs:":                         "a part of a Flux Kustomization, which test/verdicts runs",
	"resource.customizations.health.mqttbridge": "a part of the configuration of Argo CD, which test/verdicts runs",
}

// fields returns the JSON names of the fields of a type.
func fields(of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// object is a manifest or a part of it.
type object = map[string]any

// complete makes a manifest of a part of a manifest. It returns nil if the part is unknown.
func complete(part object) object {
	kinds := []struct {
		of    reflect.Type
		place func(object) object
	}{
		{reflect.TypeFor[v1alpha1.MQTTBridgeSpec](), func(o object) object { return o }},
		{reflect.TypeFor[v1alpha1.Side](), func(o object) object { return object{"remote": o} }},
		{reflect.TypeFor[v1alpha1.TLS](), func(o object) object { return object{"remote": object{"tls": o}} }},
	}
	if spec, ok := part["spec"].(object); ok {
		part = spec
	}
	for _, kind := range kinds {
		known := fields(kind.of)
		if slices.ContainsFunc(slices.Collect(maps.Keys(part)), func(key string) bool { return !slices.Contains(known, key) }) {
			continue
		}
		spec := object{
			"local":         object{"primary": object{"url": "mqtt://plant.example"}},
			"remote":        object{"primary": object{"url": "mqtts://cloud.example"}},
			"localToRemote": []any{object{"filter": "sensors/#", "topic": "plant1/${topic}"}},
		}
		merge(spec, kind.place(part))
		return object{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "MQTTBridge", "metadata": object{"name": "part"}, "spec": spec}
	}
	return nil
}

// merge copies the values of from into to.
func merge(to, from object) {
	for key, value := range from {
		inner, isObject := value.(object)
		if existing, ok := to[key].(object); ok && isObject {
			merge(existing, inner)
			continue
		}
		to[key] = value
	}
}

// documents returns the objects of a block.
func documents(text string) (all []object, err error) {
	decoder := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		data, err := decoder.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		document := object{}
		if err := yaml.UnmarshalStrict(data, &document); err != nil {
			return nil, err
		}
		all = append(all, document)
	}
}

// checkBridge checks a manifest as bridge-runner check does, and on a real API server.
func checkBridge(t *testing.T, manifest object) error {
	t.Helper()
	data, err := yaml.Marshal(manifest)
	if err != nil {
		return err
	}
	var report check.Report
	report.Add(t.Context(), "the block", data, check.Options{})
	if report.Result != check.Good {
		var text bytes.Buffer
		_ = report.WriteText(&text, time.Time{})
		return fmt.Errorf("bridge-runner check refuses it:\n%s", &text)
	}
	bridge := &unstructured.Unstructured{Object: manifest}
	bridge.SetNamespace("default")
	err = apiserver.Need(t, server).Client.Create(t.Context(), bridge, client.DryRunAll)
	if err != nil {
		return fmt.Errorf("the API server refuses it: %w", err)
	}
	return nil
}

// manifestPages returns the pages whose YAML is checked: all but the generated page.
func manifestPages(t *testing.T) (names []string) {
	t.Helper()
	docs := filepath.Join(apiserver.Root(), "docs")
	for _, pattern := range []string{"*.md", "guides/*.md", "runbooks/*.md"} {
		files, err := filepath.Glob(filepath.Join(docs, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := filepath.Rel(docs, file)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	return names
}

func TestManifests_BlocksOfYAML_AreValidBridges(t *testing.T) {
	checked, used := 0, map[string]bool{}
	for _, name := range manifestPages(t) {
		for _, b := range readPage(t, name) {
			if b.language != "yaml" {
				continue
			}
			if other := isOther(b.text); other != "" {
				used[other] = true
				continue
			}
			all, err := documents(b.text)
			if err != nil {
				t.Errorf("docs/%s:%d: %v", name, b.line, err)
			}
			for _, document := range all {
				if document["kind"] != "MQTTBridge" {
					document = complete(document)
				}
				if document == nil {
					t.Errorf("docs/%s:%d: the block is no part of an MQTTBridge; add it to others with a reason", name, b.line)
					continue
				}
				if err := checkBridge(t, document); err != nil {
					t.Errorf("docs/%s:%d: %v", name, b.line, err)
				}
				checked++
			}
		}
	}
	for other := range others {
		if !used[other] {
			t.Errorf("no page has the block %q any more; remove it from others", other)
		}
	}
	if checked < 30 {
		t.Errorf("only %d manifests were found", checked)
	}
}

func isOther(text string) string {
	for other := range others {
		if strings.Contains(text, other) {
			return other
		}
	}
	return ""
}

var reference = regexp.MustCompile(`(secretKeyRef|configMapKeyRef): \{name: ([a-z0-9-]+)`)

// A reader who copies a manifest of a guide finds on the same page how to create its Secrets, or their files.
func TestManifests_References_AreCreatedOnThePage(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), "docs", "guides", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no guides: %v", err)
	}
	for _, file := range files {
		page := filepath.Base(file)
		blocks := readPage(t, "guides/"+page)
		if len(scripts(blocks)) == 0 {
			continue
		}
		var created strings.Builder
		for _, b := range blocks {
			created.WriteString(b.text)
		}
		for _, m := range reference.FindAllStringSubmatch(created.String(), -1) {
			object, name := map[string]string{"secretKeyRef": "secret", "configMapKeyRef": "configmap"}[m[1]], m[2]
			create := regexp.MustCompile(`kubectl create ` + object + ` (generic |tls )?` + name + `\b|secretName: ` + name + `\b|/` + name + `/`)
			if !create.MatchString(created.String()) {
				t.Errorf("docs/guides/%s does not show how to create the %s %s", page, object, name)
			}
		}
	}
}

func TestComplete_PartsOfManifests_ArePlaced(t *testing.T) {
	for part, want := range map[string]string{
		"runner: {logLevel: debug}":          "spec.runner",
		"failover: {probe: {policy: Never}}": "spec.remote.failover",
		"ca: {configMapKeyRef: {name: a}}":   "spec.remote.tls.ca",
		"spec: {suspend: true}":              "spec.suspend",
		"values: {}":                         "",
	} {
		all, err := documents(part)
		if err != nil {
			t.Fatal(err)
		}
		manifest := complete(all[0])
		if want == "" {
			if manifest != nil {
				t.Errorf("%s: got %v, want no manifest", part, manifest)
			}
			continue
		}
		if _, found, err := unstructured.NestedFieldNoCopy(manifest, strings.Split(want, ".")...); err != nil || !found {
			t.Errorf("%s: %v has no %s (%v)", part, manifest, want, err)
		}
	}
}
