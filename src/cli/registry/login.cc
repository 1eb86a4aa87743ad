// login and logout: proving to a registry who we are, and remembering it.
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <optional>

#include "base/text.h"
#include "cli/registry/commands.h"
#include "storage/reference.h"
#include "storage/registry/endpoint.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

constexpr std::size_t kMostSecret = 16 * 1024;

// "https://host/v1/" is what old scripts say; Docker's own site has several names.
Result<std::string> registry_in(const RegistryWords& words) {
  if (words.names.empty()) return std::string(storage::kDefaultRegistry);
  if (words.names.size() > 1)
    return fail(ErrorKind::kUsage, "one registry at a time",
                "bulkhead " + words.verb + " [OPTIONS] [REGISTRY]");
  std::string_view name = words.names.front();
  for (const std::string_view scheme : {"https://", "http://"})
    if (name.starts_with(scheme)) name.remove_prefix(scheme.size());
  name = name.substr(0, name.find('/'));
  if (name == "index.docker.io" || name == "registry-1.docker.io") name = storage::kDefaultRegistry;
  if (!storage::is_registry_name(name))
    return fail(ErrorKind::kUsage, quoted(words.names.front()) + " is not the name of a registry",
                "a registry is HOST or HOST:PORT");
  return std::string(name);
}

// The terminal's echo, off for as long as this lives.
class SilentTerminal {
 public:
  explicit SilentTerminal(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal, &before_) != 0) return;
    struct termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(terminal, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (changed_) (void)::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  int terminal_;
  struct termios before_{};
  bool changed_ = false;
};

Result<std::string> read_line(int from) {
  std::string line;
  char c = 0;
  for (;;) {
    const ssize_t count = ::read(from, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
    if (count == 0 || c == '\n') return line;
    if (line.size() == kMostSecret) return fail(ErrorKind::kUsage, "what was typed is too long");
    line += c;
  }
}

Result<std::string> ask(std::string_view question, bool silent) {
  TRY_ASSIGN(const Fd terminal, open_at(AT_FDCWD, "/dev/tty", O_RDWR | O_NOCTTY));
  (void)write_all(terminal.get(), question.data(), question.size());
  std::optional<SilentTerminal> echo;
  if (silent) echo.emplace(terminal.get());
  auto line = read_line(terminal.get());
  if (silent) (void)write_all(terminal.get(), "\n", 1);
  return line;
}

Result<storage::Credentials> read_credentials(const RegistryWords& words,
                                              const std::string& registry) {
  storage::Credentials credentials;
  credentials.user = words.value("username");
  if (words.has("password-stdin")) {
    if (words.has("password"))
      return fail(ErrorKind::kUsage, "--password and --password-stdin exclude each other");
    if (credentials.user.empty())
      return fail(ErrorKind::kUsage, "--password-stdin needs --username");
    TRY_ASSIGN(credentials.password, read_fd(STDIN_FILENO, kMostSecret));
    // A newline at the end is the shell's, not the password's.
    while (credentials.password.ends_with('\n') || credentials.password.ends_with('\r'))
      credentials.password.pop_back();
  } else if (words.has("password")) {
    print_error_line(
        "WARNING! A password on the command line can be seen by other users of this host. Use "
        "--password-stdin.");
    credentials.password = words.value("password");
  }
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if ((credentials.user.empty() || credentials.password.empty()) && !terminal)
    return fail(ErrorKind::kUsage,
                "the user or the password is missing, and the standard input is no terminal to ask "
                "on",
                "bulkhead login --username USER --password-stdin " + registry + " < FILE");
  if (credentials.user.empty()) {
    TRY_ASSIGN(credentials.user, ask("Username: ", false));
  }
  if (credentials.password.empty()) {
    TRY_ASSIGN(credentials.password, ask("Password: ", true));
  }
  if (credentials.user.empty() || credentials.password.empty())
    return fail(ErrorKind::kUsage, "the user or the password is empty");
  if (credentials.user.find(':') != std::string::npos)
    return fail(ErrorKind::kUsage, "a user name with a colon cannot be sent to a registry");
  return credentials;
}

}  // namespace

Result<int> login_command(const RegistryWords& words) {
  TRY_ASSIGN(const std::string registry, registry_in(words));
  TRY_ASSIGN(const storage::Settings settings, settings_for(words));
  TRY_ASSIGN(const storage::CredentialFile file, credentials_for(words));
  TRY_ASSIGN(const storage::Credentials credentials, read_credentials(words, registry));
  TRY_ASSIGN(std::vector<storage::Endpoint> endpoints,
             storage::endpoints_of(settings, file, registry, storage::Purpose::kPush));
  for (storage::Endpoint& endpoint : endpoints) endpoint.credentials = credentials;
  storage::RegistryClient client(std::move(endpoints), "", "", print_retry);
  if (auto access = client.check_access(); !access)
    return std::unexpected(std::move(access).error().within("login to " + quoted(registry)));
  TRY_ASSIGN(const auto place, file.store(registry, credentials));
  if (place == storage::CredentialFile::Place::kFile)
    print_error_line("WARNING! The password is kept unencrypted in " + quoted(file.path()) +
                     ". A credential helper (credsStore in that file) keeps it better.");
  print_line("Login Succeeded");
  return 0;
}

Result<int> logout_command(const RegistryWords& words) {
  TRY_ASSIGN(const std::string registry, registry_in(words));
  TRY_ASSIGN(const storage::CredentialFile file, credentials_for(words));
  TRY_ASSIGN(const bool known, file.erase(registry));
  if (known)
    print_line("Removing login credentials for " + storage::credentials_key(registry));
  else
    print_line("Not logged in to " + storage::credentials_key(registry));
  return 0;
}

}  // namespace bulkhead::cli
