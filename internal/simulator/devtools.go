package simulator

import "regexp"

// mockCode is what WeChat's developer tools hand out without an AppID, always the
// same one. A gateway refuses its spaces.
const mockCode = "the code is a mock one"

// toolsCode is the shape of codes that the tools get from WeChat, with an AppID.
var toolsCode = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// SetDeveloperTools chooses whom codes of the developer tools log in as, which the
// simulator has not handed out. An empty name is nobody.
func (s *Server) SetDeveloperTools(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.user(name); name != "" && !found {
		return ErrUser
	}
	s.tools = name
	return nil
}

// exchangeForeign answers code2session for a code that the simulator has not handed
// out. The tools' mock code logs in as the first user if nobody is chosen, and as
// often as it comes, because they have no other.
func (s *Server) exchangeForeign(text string) (errcode int, user User) {
	s.mu.Lock()
	user, chosen := s.user(s.tools)
	if !chosen {
		user = s.users[0]
	}
	s.mu.Unlock()
	switch {
	case text == mockCode:
		return 0, user
	case !chosen || !toolsCode.MatchString(text):
		return 40029, User{}
	}
	if _, first := s.codes.GetOrAdd(text, func() *code { return &code{user: user, used: true} }); !first {
		return 40163, User{}
	}
	return 0, user
}
