// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// ownedFields returns the fields of an object that FieldOwner last applied and still owns, with
// their current values, in the form of decoded JSON. The result is nil if there are none.
//
// The Extract functions of client-go do the same with the schema of the object, and need several
// times as long. No schema is needed, because the API server keeps in the managed fields which
// lists have keys, and which fields are owned as a whole.
func ownedFields(o client.Object) (map[string]any, error) {
	i := slices.IndexFunc(o.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == FieldOwner && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" && e.FieldsV1 != nil
	})
	if i < 0 {
		return nil, nil
	}
	owned := &fieldpath.Set{}
	if err := owned.FromJSON(o.GetManagedFields()[i].FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("reading the managed fields: %w", err)
	}
	v, err := value.NewValueReflect(o)
	if err != nil {
		return nil, fmt.Errorf("reading the fields: %w", err)
	}
	return pickFields(v.AsMap(), owned), nil
}

// pick returns the owned part of a value. owned is nil if the whole value is owned.
func pick(v value.Value, owned *fieldpath.Set) any {
	switch {
	case owned == nil:
		return v.Unstructured()
	case v.IsMap():
		return pickFields(v.AsMap(), owned)
	case v.IsList():
		return pickItems(v.AsList(), owned)
	default: // another client has changed the type of the value
		return v.Unstructured()
	}
}

func pickFields(m value.Map, owned *fieldpath.Set) map[string]any {
	out := make(map[string]any)
	eachElement(owned, func(e fieldpath.PathElement, part *fieldpath.Set) {
		if e.FieldName == nil {
			return
		}
		if v, ok := m.Get(*e.FieldName); ok {
			out[*e.FieldName] = pick(v, part)
		}
	})
	return out
}

// pickItems returns the owned items in their order in the list.
func pickItems(l value.List, owned *fieldpath.Set) []any {
	type item struct {
		index int
		value any
	}
	var items []item
	eachElement(owned, func(e fieldpath.PathElement, part *fieldpath.Set) {
		for i := range l.Length() {
			if v := l.At(i); isItem(v, e) {
				items = append(items, item{i, pick(v, part)})
				return
			}
		}
	})
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.index, b.index) })
	out := make([]any, len(items))
	for i := range items {
		out[i] = items[i].value
	}
	return out
}

// eachElement calls f for each element of a set. part is nil if the element is owned as a whole.
func eachElement(owned *fieldpath.Set, f func(e fieldpath.PathElement, part *fieldpath.Set)) {
	owned.Members.Iterate(func(e fieldpath.PathElement) {
		if _, ok := owned.Children.Get(e); !ok {
			f(e, nil)
		}
	})
	owned.Children.Iterate(func(e fieldpath.PathElement) {
		part, _ := owned.Children.Get(e)
		f(e, part)
	})
}

// isItem reports whether e is the element of an item of a list.
func isItem(item value.Value, e fieldpath.PathElement) bool {
	switch {
	case e.Value != nil:
		return value.Equals(item, *e.Value)
	case e.Key == nil || !item.IsMap():
		return false
	}
	fields := item.AsMap()
	for _, key := range *e.Key {
		if v, ok := fields.Get(key.Name); !ok || !value.Equals(v, key.Value) {
			return false
		}
	}
	return true
}
