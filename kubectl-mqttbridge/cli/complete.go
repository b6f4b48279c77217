// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// completion returns the possible values of an argument or a flag.
type completion = func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective)

// completionTimeout is the longest time that a user waits for a completion.
const completionTimeout = 3 * time.Second

// complete sets the completion of a flag.
func (p *program) complete(cmd *cobra.Command, flag string, values completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err) // The command has no such flag: a mistake in the program.
	}
}

// fixed completes a fixed list of values.
func fixed(values ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeBridges completes the names of bridges, for at most this number of arguments, or any number if it is -1. A
// failure to reach the cluster gives no values.
func (p *program) completeBridges(most int) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.bridgeNames(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
	}
}

// bridgeNames returns the names of the bridges of the namespace, except some.
func (p *program) bridgeNames(ctx context.Context, except []string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	client, namespace, err := p.connect()
	if err != nil {
		return nil
	}
	bridges, err := client.List(ctx, cluster.Selection{Namespace: namespace, Cached: true})
	if err != nil {
		return nil
	}
	var out []string
	for i := range bridges {
		if !slices.Contains(except, bridges[i].Name) {
			out = append(out, bridges[i].Name)
		}
	}
	return out
}

// completeServers completes the name of a bridge, and then the name of one of its servers.
func (p *program) completeServers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		return p.bridgeNames(cmd.Context(), nil), none
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, namespace, err := p.connect()
	if err != nil || len(args) > 1 {
		return nil, none
	}
	b, err := client.Get(ctx, namespace, args[0])
	if err != nil {
		return nil, none
	}
	var out []string
	for _, s := range sidesOf(b) {
		if wanted, _ := cmd.Flags().GetString("side"); wanted == "" || wanted == s.name {
			for _, server := range s.spec.ServerNames() {
				out = append(out, server+"\t"+s.name)
			}
		}
	}
	return out, none
}

func (p *program) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, err := p.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := client.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
