#include "plexspaces/supervision/supervisor_spec.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace plexspaces {

namespace {

using Above = std::vector<const SupervisorSpec*>;

std::unexpected<Error> wrong(std::string_view domain, std::string message) {
  return fail(Code::kInvalidArgument, std::move(message), domain);
}

Status check_word(const std::string& word, const char* what, const std::string& path) {
  if (!word.empty() && word.size() <= kChildIdBytesMax) return {};
  return wrong("PLX-SUP-0002",
               fmt::format("the {} at '{}' has {} bytes: give it 1 to {}", what, path, word.size(), kChildIdBytesMax));
}

Status check_limit(const RestartLimit& limit, const std::string& path) {
  if (limit.intensity > kRestartIntensityMax)
    return wrong("PLX-SUP-0004", fmt::format("the supervisor '{}' has the intensity {}: at most {}; a shorter period "
                                             "allows the same rate",
                                             path, limit.intensity, kRestartIntensityMax));
  if (limit.period <= Duration::zero())
    return wrong("PLX-SUP-0004",
                 fmt::format("the supervisor '{}' has a period of {} ns: above 0", path, limit.period.count()));
  return {};
}

Status check_options(const ChildOptions& options, const std::string& path) {
  if (options.name.size() > kChildIdBytesMax)
    return wrong("PLX-SUP-0002", fmt::format("the name of the child '{}' has {} bytes: at most {}", path,
                                             options.name.size(), kChildIdBytesMax));
  if (const auto& shutdown = options.shutdown; shutdown && shutdown->kind == Shutdown::Kind::kTimed)
    if (shutdown->within < Duration::zero() || shutdown->within > kShutdownMax)
      return wrong("PLX-SUP-0004", fmt::format("the child '{}' has a shutdown of {} ns: 0 to {} h, or infinity", path,
                                               shutdown->within.count(), kShutdownMax / 1h));
  if (const auto& backoff = options.backoff) {
    bool times = backoff->initial > Duration::zero() && backoff->max >= backoff->initial && backoff->max <= kBackoffMax;
    bool numbers = backoff->factor >= 1 && backoff->factor <= 100 && backoff->jitter >= 0 && backoff->jitter <= 1;
    if (!times || !numbers)
      return wrong("PLX-SUP-0004", fmt::format("the backoff of the child '{}' is out of its limits: initial above 0, "
                                               "max from initial to {} h, factor 1 to 100, jitter 0 to 1",
                                               path, kBackoffMax / 1h));
  }
  return {};
}

Status check_supervisor(const SupervisorSpec& spec, const std::string& path, Above& above);

Status check_child(const ChildSpec& child, const SupervisorSpec& parent, const std::string& parent_path, Above& above) {
  std::string path = fmt::format("{}/{}", parent_path, child.id);
  PLX_TRY_STATUS(check_word(child.id, "child id", path));
  PLX_TRY_STATUS(check_options(child.options, path));
  if (child.options.significant && child.restart == permanent)
    return wrong("PLX-SUP-0005", fmt::format("the child '{}' is significant and permanent, so its end never counts: "
                                             "make it transient or temporary",
                                             path));
  if (child.options.significant && parent.auto_shutdown() == AutoShutdown::never)
    return wrong("PLX-SUP-0005", fmt::format("the child '{}' is significant, but '{}' never shuts down by itself: give "
                                             "that an auto_shutdown",
                                             path, parent_path));
  return child.supervisor == nullptr ? Status() : check_supervisor(*child.supervisor, path, above);
}

Status check_supervisor(const SupervisorSpec& spec, const std::string& path, Above& above) {
  if (std::ranges::find(above, &spec) != above.end())
    return wrong("PLX-SUP-0003", fmt::format("the supervisor '{}' contains itself: '{}'", spec.name(), path));
  if (above.size() >= kTreeDepthMax)
    return wrong("PLX-SUP-0007",
                 fmt::format("more than {} supervisors are above one another at '{}'", kTreeDepthMax, path));
  PLX_TRY_STATUS(check_word(spec.name(), "supervisor name", path));
  PLX_TRY_STATUS(check_limit(spec.limit(), path));
  PLX_TRY_STATUS(spec.check_templates(path));
  if (spec.children().size() > kChildrenMax)
    return wrong("PLX-SUP-0007", fmt::format("the supervisor '{}' has {} children: at most {}, or group them under "
                                             "supervisors",
                                             path, spec.children().size(), kChildrenMax));
  above.push_back(&spec);
  std::set<std::string_view> ids;
  for (const auto& child : spec.children()) {
    if (!ids.insert(child->id).second)
      return wrong("PLX-SUP-0001",
                   fmt::format("the supervisor '{}' has two children '{}': give one another id", path, child->id));
    PLX_TRY_STATUS(check_child(*child, spec, path, above));
  }
  above.pop_back();
  return {};
}

}  // namespace

ChildSpec child(SupervisorSpec supervisor, RestartType restart, ChildOptions options) {
  return child(std::make_shared<const SupervisorSpec>(std::move(supervisor)), restart, std::move(options));
}

ChildSpec child(std::shared_ptr<const SupervisorSpec> supervisor, RestartType restart, ChildOptions options) {
  PLX_CHECK(supervisor != nullptr, "a supervisor is given");
  ChildSpec spec{.id = supervisor->name(), .restart = restart, .options = std::move(options)};
  spec.class_name = "Supervisor";
  spec.supervisor = std::move(supervisor);
  return spec;
}

Status SupervisorSpec::check_templates(const std::string& path) const {
  if (strategy_ == simple_one_for_one) {
    if (templates_ == 1 && children_.size() == 1 && children_.front()->options.name.empty()) return {};
    return wrong("PLX-SUP-0006", fmt::format("the supervisor '{}' is simple_one_for_one: it has one template_child, "
                                             "without a name, and no other children",
                                             path));
  }
  if (templates_ == 0) return {};
  return wrong("PLX-SUP-0006",
               fmt::format("the supervisor '{}' has a template_child: that is for simple_one_for_one", path));
}

Status SupervisorSpec::check() const {
  Above above;
  return check_supervisor(*this, name_, above);
}

namespace detail {

Status check_child(const ChildSpec& child, const SupervisorSpec& parent, const std::string& path) {
  Above above;
  return plexspaces::check_child(child, parent, path, above);
}

}  // namespace detail

}  // namespace plexspaces
