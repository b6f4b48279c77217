// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// noSuchField begins the message for a field that the API does not have. The remedy follows.
const noSuchField = "the API has no such field; "

// Check returns the manifest that [Load] would return, or all errors for which it would refuse the
// manifest. As on the API server, a value of a wrong type hides the errors that depend on values. err
// is not nil if data is not YAML, and then names the line, or if it is not an object of Kubernetes.
func Check(data []byte) (m *Manifest, problems field.ErrorList, err error) { return check(data, 0) }

// check is Check for data that follows the given number of lines in its file.
func check(data []byte, before int) (m *Manifest, problems field.ErrorList, err error) {
	m, err = parseAfter(data, before)
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) {
		return m, nil, err
	}
	refused := err
	asJSON, err := toJSON(data, before)
	if err != nil {
		return nil, nil, err
	}
	bridge := &v1alpha1.MQTTBridge{}
	problems = validateTypes(asJSON)
	if len(problems) == 0 && json.UnmarshalCaseSensitivePreserveInts(asJSON, bridge) == nil {
		problems = manifest.Validate(bridge)
	}
	problems = append(unknownFields(asJSON), problems...)
	if len(problems) == 0 {
		return nil, nil, refused
	}
	return nil, problems, nil
}

// unknownFields returns an error for each field that the API does not have.
func unknownFields(asJSON []byte) field.ErrorList {
	var tree any
	if json.UnmarshalCaseSensitivePreserveInts(asJSON, &tree) != nil {
		return nil
	}
	return unknownIn(tree, reflect.TypeFor[v1alpha1.MQTTBridge](), nil)
}

// unknownIn returns the errors of a value of a type. A value of another type has none.
func unknownIn(value any, t reflect.Type, path *field.Path) field.ErrorList {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	var errs field.ErrorList
	switch object, list := asObject(value), asList(value); {
	case t.Kind() == reflect.Slice:
		for i := range list {
			errs = append(errs, unknownIn(list[i], t.Elem(), path.Index(i))...)
		}
	case t.Kind() == reflect.Map:
		for _, key := range sortedKeys(object) {
			errs = append(errs, unknownIn(object[key], t.Elem(), path.Key(key))...)
		}
	case t.Kind() == reflect.Struct:
		for _, key := range sortedKeys(object) {
			if child := childType(t, key); child != nil {
				errs = append(errs, unknownIn(object[key], child, path.Child(key))...)
				continue
			}
			errs = append(errs, field.Forbidden(path.Child(key), noSuchField+remedyFor(key, t, path)))
		}
	}
	return errs
}

func asObject(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

// childType returns the type of a field of a struct, or nil if there is none of the name.
func childType(t reflect.Type, name string) reflect.Type {
	if name == "" {
		return nil
	}
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case fieldName(f) == name:
			return f.Type
		case fieldName(f) == "" && f.Anonymous: // inline
			if child := childType(f.Type, name); child != nil {
				return child
			}
		}
	}
	return nil
}
