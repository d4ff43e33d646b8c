package authn

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// staticTokens knows tokens by their hash: looking one up takes the same time however much of it is
// right, and no token stands in memory longer than needed.
type staticTokens struct {
	users     map[[sha256.Size]byte]*request.User
	audiences []string
}

func hashed(users map[string]*request.User) map[[sha256.Size]byte]*request.User {
	out := make(map[[sha256.Size]byte]*request.User, len(users))
	for token, user := range users {
		out[sha256.Sum256([]byte(token))] = withGroup(user, GroupAuthenticated)
	}
	return out
}

func (s staticTokens) AuthenticateToken(_ context.Context, token string, audiences []string) (*request.User, []string, error) {
	if len(s.users) == 0 {
		return nil, nil, nil
	}
	user, ok := s.users[sha256.Sum256([]byte(token))]
	if !ok {
		return nil, nil, nil
	}
	auds := acceptable(s.audiences, audiences)
	if len(audiences) > 0 && len(auds) == 0 {
		return nil, nil, nil
	}
	return user, auds, nil
}

// readTokenFile reads lines of token,user,uid and optionally "group1,group2".
func readTokenFile(file string, audiences []string) (Token, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the token file: %w", err)
	}
	defer f.Close()
	users := map[string]*request.User{}
	lines := csv.NewReader(f)
	lines.FieldsPerRecord = -1
	for n := 1; ; n++ {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the token file %s: %w", file, err)
		}
		if len(record) < 3 {
			return nil, fmt.Errorf("the token file %s must have at least 3 columns (token, user name, user uid), found %d in record %d", file, len(record), n)
		}
		token := strings.TrimSpace(record[0])
		if token == "" {
			continue // a line without a token gives nobody access
		}
		user := &request.User{Name: strings.TrimSpace(record[1]), UID: strings.TrimSpace(record[2])}
		if len(record) >= 4 && record[3] != "" {
			for g := range strings.SplitSeq(record[3], ",") {
				user.Groups = append(user.Groups, strings.TrimSpace(g))
			}
		}
		users[token] = user
	}
	return staticTokens{users: hashed(users), audiences: audiences}, nil
}
