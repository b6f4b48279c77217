// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// The indexes of the cache.
const (
	// podsOfBridge finds the pods of a bridge by its name, within its namespace.
	podsOfBridge = "bridge"
	// straysOfOwner finds the children whose name is not the name of the children of their
	// owner, by the UID of the owner. All other children are found by their name, so that
	// the index is usually empty.
	straysOfOwner = "stray"
	// bridgesOfClientID finds the bridges that use a client identifier, which their spec sets,
	// with a server, by manifest.ClientIDKeys.
	bridgesOfClientID = "clientID"
)

// addIndexes adds the indexes to the cache. Without them, each pass would search all objects
// of the bridge's namespace.
func addIndexes(indexer cache.Cache) error {
	ctx := context.Background() // the cache does not run yet, so that nothing waits
	if err := indexPods(ctx, indexer); err != nil {
		return fmt.Errorf("indexing the pods: %w", err)
	}
	err := indexer.IndexField(ctx, &v1alpha1.MQTTBridge{}, bridgesOfClientID, func(obj client.Object) []string {
		if b, ok := obj.(*v1alpha1.MQTTBridge); ok {
			return manifest.ClientIDKeys(manifest.ClientIDs(b), b.Namespace)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("indexing the client identifiers: %w", err)
	}
	for _, kind := range childKinds {
		if err := indexer.IndexField(ctx, kind.object, straysOfOwner, strayOwner); err != nil {
			return fmt.Errorf("indexing kind %s: %w", kind.gvk.Kind, err)
		}
	}
	return nil
}

// indexPods adds podsOfBridge to the cache under the name and with the keys that a search with
// client.MatchingFields and client.InNamespace expects. IndexField would also add each pod under
// a key for all namespaces, which the operator does not search, and which needs 330 bytes.
func indexPods(ctx context.Context, indexer cache.Cache) error {
	pods, err := indexer.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	return pods.AddIndexers(toolscache.Indexers{"field:" + podsOfBridge: func(obj any) ([]string, error) {
		if pod, ok := obj.(*corev1.Pod); ok {
			if key := bridgeKeyOf(pod); key != "" {
				return []string{key}, nil
			}
		}
		return nil, nil
	}})
}

// strayOwner returns the UID of the bridge that controls an object with an unusual name.
func strayOwner(obj client.Object) []string {
	owner := metav1.GetControllerOfNoCopy(obj)
	if owner == nil || owner.Kind != bridgeKind || obj.GetName() == childName(owner.Name) {
		return nil
	}
	return []string{string(owner.UID)}
}
