// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// Policy limits the values that bridges may set, because a user who may create a bridge
// otherwise gets pods with every image, priority and Secret of the namespace. A nil list
// permits every value, and an empty list none. A bridge that breaks the policy is stalled and
// left unchanged.
type Policy struct {
	// Images are the entries for spec.runner.image. An entry that ends with a slash covers
	// all images under it. An entry without tag and digest covers a repository. Every other
	// entry covers exactly one image. The operator's own choice of the image is always
	// permitted.
	Images []string
	// PriorityClasses are the names that spec.runner.priorityClassName may have.
	PriorityClasses []string
	// ServiceAccounts are the names that spec.runner.serviceAccountName may have. The account
	// that the operator creates is always permitted.
	ServiceAccounts []string
	// Secrets are patterns for the names of the Secrets that the pod may use, as in
	// [path.Match]. The operator enforces names and not labels, because it would need the
	// right to read all Secrets to see their labels.
	Secrets []string
	// NoTolerations forbids spec.runner.tolerations.
	NoTolerations bool
}

// permitsAll reports whether the policy permits every value.
func (p *Policy) permitsAll() bool {
	return p.Images == nil && p.PriorityClasses == nil && p.ServiceAccounts == nil && p.Secrets == nil && !p.NoTolerations
}

// check returns the values of a bridge that the policy forbids.
func (p *Policy) check(b *v1alpha1.MQTTBridge) (field.ErrorList, error) {
	var errs field.ErrorList
	runner, at := ptr.Deref(b.Spec.Runner, v1alpha1.Runner{}), field.NewPath("spec", "runner")
	if p.Images != nil && runner.Image != "" && !slices.ContainsFunc(p.Images, func(entry string) bool { return coversImage(entry, runner.Image) }) {
		errs = append(errs, field.Invalid(at.Child("image"), runner.Image, fmt.Sprintf(msgImageForbidden, permitted(p.Images))))
	}
	if p.PriorityClasses != nil && runner.PriorityClassName != "" && !slices.Contains(p.PriorityClasses, runner.PriorityClassName) {
		errs = append(errs, field.Invalid(at.Child("priorityClassName"), runner.PriorityClassName, fmt.Sprintf(msgPriorityForbidden, permitted(p.PriorityClasses))))
	}
	if p.ServiceAccounts != nil && runner.ServiceAccountName != "" && !slices.Contains(p.ServiceAccounts, runner.ServiceAccountName) {
		errs = append(errs, field.Invalid(at.Child("serviceAccountName"), runner.ServiceAccountName, fmt.Sprintf(msgServiceAccountForbidden, permitted(p.ServiceAccounts))))
	}
	if p.NoTolerations && len(runner.Tolerations) > 0 {
		errs = append(errs, field.Invalid(at.Child("tolerations"), count.Of(len(runner.Tolerations), "toleration"), msgTolerationsForbidden))
	}
	if p.Secrets == nil {
		return errs, nil
	}
	template, err := podTemplate(b, podDefaults{}) // the Secrets of the operator's choice are permitted
	if err != nil {
		return nil, err
	}
	secrets, err := secretsOf(template)
	if err != nil {
		return nil, err
	}
	for _, name := range secrets {
		if !slices.ContainsFunc(p.Secrets, func(pattern string) bool { return matches(pattern, name) }) {
			errs = append(errs, field.Invalid(fieldThatNames(b, name), name, fmt.Sprintf(msgSecretForbidden, permitted(p.Secrets))))
		}
	}
	return errs, nil
}

// coversImage reports whether an entry of Policy.Images covers an image.
func coversImage(entry, image string) bool {
	if strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(image, entry)
	}
	rest, ok := strings.CutPrefix(image, entry)
	_, name, _ := strings.Cut(entry, "/")
	switch {
	case !ok:
		return false
	case rest == "":
		return true
	case strings.ContainsAny(cmp.Or(name, entry), ":@"): // the entry has a tag, a digest or, without a slash, maybe a port
		return false
	default:
		return (rest[0] == ':' || rest[0] == '@') && !strings.Contains(rest, "/")
	}
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// permitted lists the permitted values for a message.
func permitted(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, ", ")
}

// secretsOf returns the names of the Secrets that a pod template names, sorted. It searches
// the whole template, so that no field of the API that adds a Secret to the pod is missed: a
// key that contains the word secret holds a reference or a list of references.
func secretsOf(template any) ([]string, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("reading the pod template: %w", err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("reading the pod template: %w", err)
	}
	names := map[string]bool{}
	walk(nil, tree, func(at []string, value any) {
		if !strings.Contains(strings.ToLower(at[len(at)-1]), "secret") {
			return
		}
		references, isList := value.([]any)
		if !isList {
			references = []any{value}
		}
		for _, reference := range references {
			object, _ := reference.(map[string]any)
			for _, key := range []string{"name", "secretName"} {
				if name, ok := object[key].(string); ok {
					names[name] = true
				}
			}
		}
	})
	return slices.Sorted(maps.Keys(names)), nil
}

// fieldThatNames returns the first field of the spec that refers to an object by this name.
func fieldThatNames(b *v1alpha1.MQTTBridge, name string) *field.Path {
	found := field.NewPath("spec")
	raw, err := json.Marshal(&b.Spec)
	var tree any
	if err != nil || json.Unmarshal(raw, &tree) != nil {
		return found
	}
	var best []string
	walk(nil, tree, func(at []string, value any) {
		last := at[len(at)-1]
		if value != name || last != "name" && last != "secretName" || !slices.ContainsFunc(at, refersToObject) {
			return
		}
		if best == nil || slices.Compare(at, best) < 0 {
			best = slices.Clone(at)
		}
	})
	for _, key := range best {
		if key[0] >= '0' && key[0] <= '9' {
			found = found.Key(key)
			continue
		}
		found = found.Child(key)
	}
	return found
}

// refersToObject reports whether a field with this name refers to an object, such as secretRef
// or imagePullSecrets.
func refersToObject(key string) bool {
	return strings.HasSuffix(key, "Ref") || strings.HasSuffix(key, "Secrets") || key == "secret"
}

// walk visits all values of a tree of JSON, except the root, with their paths.
func walk(at []string, tree any, visit func(at []string, value any)) {
	children := map[string]any{}
	switch tree := tree.(type) {
	case map[string]any:
		children = tree
	case []any:
		for i, item := range tree {
			children[fmt.Sprint(i)] = item
		}
	}
	for key, value := range children {
		below := append(slices.Clone(at), key)
		visit(below, value)
		walk(below, value, visit)
	}
}
