// Package node decides what a kubelet may do: on what its own node's pods need, and little else.
package node

import (
	"strings"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Group is what the identity of every kubelet belongs to.
const Group = "system:nodes"

const userPrefix = "system:node:"

// User is the name of a node's kubelet.
func User(node string) string { return userPrefix + node }

// Identity says whether a user is a kubelet, and of which node. The name is empty where the user is in
// the group of nodes by another kind of name; such a user is to be refused.
func Identity(user *request.User) (name string, isNode bool) {
	if user == nil || !strings.HasPrefix(user.Name, userPrefix) || !user.InGroup(Group) {
		return "", false
	}
	return strings.TrimPrefix(user.Name, userPrefix), true
}
