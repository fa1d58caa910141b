// Descriptions of messages: PLX_MESSAGE, PLX_ENUM, and value_type_of<T>(), which turns them into data.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/base/bytes.hpp"
#include "plexspaces/codec/value_type.hpp"

/// PLX_MESSAGE(Order, (1, sku), PLX_RESERVED(2), (3, quantity));
///
/// Describes a plain struct: the number under which each field is stored, for ever, beside its name in JSON. It stands
/// in the namespace of the struct, after it. The struct's registered name is the token given, here "Order".
///  - A number, a field or a reserved number given twice does not compile. Numbers are 1 to 536,870,911 without
///    19,000 to 19,999 (protobuf's rule).
///  - A removed field's number goes into PLX_RESERVED, so that no later field takes it.
///  - A field with a default member initialiser and text may be absent from JSON and from stored bytes, and keeps its
///    default then. A vector or optional that is absent is empty, whatever its initialiser: bytes cannot tell the two
///    apart. Any other field is required.
///  - A member of an aggregate that is not described does not compile: its value would be gone after a restart. What is
///    not to be stored belongs into the actor's class. A message that holds functions or pointers, so that it can only
///    be sent within the process, says so by `static constexpr bool kStaysInProcess = true;`.
#define PLX_MESSAGE(Type, ...)                                                                                       \
  PLX_DETAIL_ANY_LAYOUT_BEGIN                                                                                        \
  [[maybe_unused]] constexpr auto plx_describe(::std::type_identity<Type>) {                                         \
    return ::plexspaces::detail::list_message<Type>(#Type PLX_DETAIL_FOR_EACH(PLX_DETAIL_FIELD, Type, __VA_ARGS__)); \
  }                                                                                                                  \
  PLX_DETAIL_ANY_LAYOUT_END                                                                                          \
  static_assert(::plexspaces::detail::is_registrable(#Type), #Type ": a name is made of letters, digits and _");     \
  static_assert(plx_describe(::std::type_identity<Type>{}).numbers_in_range(),                                       \
                #Type ": field numbers are 1 to 536870911, without 19000 to 19999");                                 \
  static_assert(plx_describe(::std::type_identity<Type>{}).numbers_unique(),                                         \
                #Type ": a field number is used twice, or is used though it is reserved");                           \
  static_assert(plx_describe(::std::type_identity<Type>{}).names_unique(), #Type ": a field is described twice");    \
  static_assert(plx_describe(::std::type_identity<Type>{}).fields_travel(), #Type                                    \
                ": a map, set, variant, tuple, array or pointer cannot travel; a vector of described structs "       \
                "can, of keys and values, and a struct of optionals in place of a variant");                         \
  static_assert(plx_describe(::std::type_identity<Type>{}).members_described(),                                      \
                #Type ": a member is not in PLX_MESSAGE, so its value would be lost: give it a number")

/// The numbers of fields that are no more.
#define PLX_RESERVED(...) (, __VA_ARGS__)

/// PLX_ENUM(Color, (1, kRed), (2, kGreen));
///
/// Describes an enum, scoped or not: the number of each enumerator in stored bytes (any std::int32_t, whatever its
/// value in C++) and its name in JSON. A value without an entry can be neither written nor read.
#define PLX_ENUM(Type, ...)                                                                                            \
  [[maybe_unused]] constexpr auto plx_describe(::std::type_identity<Type>) {                                           \
    return ::plexspaces::detail::list_enum<Type>(#Type PLX_DETAIL_FOR_EACH(PLX_DETAIL_ENUMERATOR, Type, __VA_ARGS__)); \
  }                                                                                                                    \
  static_assert(::plexspaces::detail::is_registrable(#Type), #Type ": a name is made of letters, digits and _");       \
  static_assert(plx_describe(::std::type_identity<Type>{}).entries_unique(),                                           \
                #Type ": a number, a name or a value is given twice")

// offsetof() of a class that is not of standard layout, which the compilers support, warns by default.
#define PLX_DETAIL_ANY_LAYOUT_BEGIN \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Winvalid-offsetof\"")
#define PLX_DETAIL_ANY_LAYOUT_END _Pragma("GCC diagnostic pop")

// Applies `macro(context, x)` to each x, with a comma before each.
#define PLX_DETAIL_FOR_EACH(macro, context, ...) \
  __VA_OPT__(PLX_DETAIL_EXPAND(PLX_DETAIL_FOR_EACH_STEP(macro, context, __VA_ARGS__)))
#define PLX_DETAIL_FOR_EACH_STEP(macro, context, first, ...) \
  , macro(context, first) __VA_OPT__(PLX_DETAIL_FOR_EACH_AGAIN PLX_DETAIL_PARENTHESES(macro, context, __VA_ARGS__))
#define PLX_DETAIL_FOR_EACH_AGAIN() PLX_DETAIL_FOR_EACH_STEP
#define PLX_DETAIL_PARENTHESES ()
#define PLX_DETAIL_EXPAND(...) \
  PLX_DETAIL_EXPAND3(PLX_DETAIL_EXPAND3(PLX_DETAIL_EXPAND3(PLX_DETAIL_EXPAND3(__VA_ARGS__))))
#define PLX_DETAIL_EXPAND3(...) \
  PLX_DETAIL_EXPAND2(PLX_DETAIL_EXPAND2(PLX_DETAIL_EXPAND2(PLX_DETAIL_EXPAND2(__VA_ARGS__))))
#define PLX_DETAIL_EXPAND2(...) \
  PLX_DETAIL_EXPAND1(PLX_DETAIL_EXPAND1(PLX_DETAIL_EXPAND1(PLX_DETAIL_EXPAND1(__VA_ARGS__))))
#define PLX_DETAIL_EXPAND1(...) \
  PLX_DETAIL_EXPAND0(PLX_DETAIL_EXPAND0(PLX_DETAIL_EXPAND0(PLX_DETAIL_EXPAND0(__VA_ARGS__))))
#define PLX_DETAIL_EXPAND0(...) __VA_ARGS__

#define PLX_DETAIL_STRIP(...) __VA_ARGS__
#define PLX_DETAIL_FIELD(Type, entry) PLX_DETAIL_FIELD_SPLIT(Type, PLX_DETAIL_STRIP entry)
#define PLX_DETAIL_FIELD_SPLIT(...) PLX_DETAIL_FIELD_CHOOSE(__VA_ARGS__)
// (1, name) is a field; PLX_RESERVED(...) leaves the place before the first comma empty.
#define PLX_DETAIL_FIELD_CHOOSE(Type, number, ...) \
  PLX_DETAIL_CONCAT(PLX_DETAIL_ENTRY_, PLX_DETAIL_ENTRY_KIND(number))(Type, number, __VA_ARGS__)
#define PLX_DETAIL_ENTRY_KIND(...) PLX_DETAIL_ENTRY_KIND_OF(__VA_ARGS__)
#define PLX_DETAIL_ENTRY_KIND_OF(...) __VA_OPT__(FIELD)
#define PLX_DETAIL_ENTRY_(Type, number, ...) \
  ::plexspaces::detail::ReservedEntry<__VA_ARGS__> {}
#define PLX_DETAIL_ENTRY_FIELD(Type, number, member) \
  ::plexspaces::detail::FieldEntry<(number), &Type::member> { #member, __builtin_offsetof(Type, member) }
#define PLX_DETAIL_ENUMERATOR(Type, entry) PLX_DETAIL_ENUMERATOR_SPLIT(Type, PLX_DETAIL_STRIP entry)
#define PLX_DETAIL_ENUMERATOR_SPLIT(...) PLX_DETAIL_ENUMERATOR_ENTRY(__VA_ARGS__)
#define PLX_DETAIL_ENUMERATOR_ENTRY(Type, number, enumerator) \
  ::plexspaces::EnumValue { (number), #enumerator, static_cast<::std::int64_t>(Type::enumerator) }

namespace plexspaces {

namespace detail {

template <class X>
struct MemberOf;
template <class Struct, class Member>
struct MemberOf<Member Struct::*> {
  using type = Member;
};

template <std::int64_t Number, auto MemberPointer>
struct FieldEntry {
  static constexpr std::array<std::int64_t, 1> kNumbers{Number};
  static constexpr bool kIsField = true;
  using Member = typename MemberOf<decltype(MemberPointer)>::type;
  std::string_view name;
  std::size_t offset;
};

template <std::int64_t... Numbers>
struct ReservedEntry {
  static constexpr std::array<std::int64_t, sizeof...(Numbers)> kNumbers{Numbers...};
  static constexpr bool kIsField = false;
  std::string_view name;  // none
  std::size_t offset = 0;
};

// What follows is written over plain arrays and not over the types of entries: it is compiled for every message, and
// templates made it cost a third of a second for ten fields.

struct ListedNumber {
  std::int64_t number = 0;
  bool reserved = false;
};
struct ListedField {
  std::string_view name;  // none: reserved numbers
  std::size_t offset = 0;
};

constexpr void append_numbers(ListedNumber* list, std::size_t& count, const std::int64_t* numbers, std::size_t more,
                              bool reserved) {
  for (std::size_t i = 0; i < more; ++i) list[count++] = {numbers[i], reserved};
}

constexpr bool all_in_range(const ListedNumber* list, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (std::int64_t n = list[i].number; n < 1 || n > 536870911 || (n >= 19000 && n <= 19999)) return false;
  return true;
}

constexpr bool all_unique(const ListedNumber* list, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (list[i].number == list[j].number) return false;
  return true;
}

constexpr bool all_unique(const ListedField* list, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (!list[i].name.empty() && list[i].name == list[j].name) return false;
  return true;
}

// By ascending number.
constexpr void insert_field(FieldDescription* fields, std::size_t& count, const FieldDescription& field) {
  std::size_t at = count++;
  for (; at > 0 && fields[at - 1].number > field.number; --at) fields[at] = fields[at - 1];
  fields[at] = field;
}
constexpr void insert_number(std::uint32_t* numbers, std::size_t& count, std::uint32_t number) {
  std::size_t at = count++;
  for (; at > 0 && numbers[at - 1] > number; --at) numbers[at] = numbers[at - 1];
  numbers[at] = number;
}

// Types of the standard library that nothing describes, told by what they can do: their headers are not wanted here.
// A described struct is none of them: its own PLX_MESSAGE may still come, so it is not asked for here.
template <class X>
inline constexpr bool kCannotTravel = std::is_pointer_v<X> || requires { typename X::key_type; } || requires {
  typename X::element_type;
} || requires { std::tuple_size<X>::value; } || requires(const X& x) { x.valueless_by_exception(); };
template <class X>
inline constexpr bool kCannotTravel<std::optional<X>> = kCannotTravel<X>;
template <class X>
inline constexpr bool kCannotTravel<std::vector<X>> = kCannotTravel<X>;

// "shop::Order" is registered as "Order".
constexpr std::string_view registered_name(std::string_view token) {
  std::size_t colon = token.rfind(':');
  return colon == std::string_view::npos ? token : token.substr(colon + 1);
}

constexpr bool is_registrable(std::string_view token) {
  std::string_view name = registered_name(token);
  for (char c : name) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!letter) return false;
  }
  return !name.empty();
}

// Initialises a member of any type, but no base; for counting, never called.
template <class T>
struct AnyMember {
  template <class X>
    requires(!std::is_base_of_v<X, T>)
  constexpr operator X() const noexcept;  // NOLINT: what it is for
};

// Whether `T{...}` takes initialisers for so many members.
template <class T, std::size_t... Each>
constexpr bool takes_members(std::index_sequence<Each...>) {
  return requires { T{(static_cast<void>(Each), AnyMember<T>{})...}; };
}

template <class Entry>
constexpr bool entry_travels() {
  if constexpr (Entry::kIsField)
    return !kCannotTravel<typename Entry::Member>;
  else
    return true;
}

template <class Entry>
constexpr const ValueType* entry_type();

template <class T, class... Entries>
struct MessageListing {
  std::string_view name;
  std::array<ListedField, sizeof...(Entries)> entries;

  static constexpr std::size_t kFieldCount = (std::size_t{0} + ... + (Entries::kIsField ? 1 : 0));
  static constexpr std::size_t kNumberCount = (std::size_t{0} + ... + Entries::kNumbers.size());
  static constexpr std::size_t kReservedCount = kNumberCount - kFieldCount;

  static constexpr std::array<ListedNumber, kNumberCount> numbers() {
    std::array<ListedNumber, kNumberCount> list{};
    std::size_t count = 0;
    (append_numbers(list.data(), count, Entries::kNumbers.data(), Entries::kNumbers.size(), !Entries::kIsField), ...);
    return list;
  }
  static constexpr bool numbers_in_range() { return all_in_range(numbers().data(), kNumberCount); }
  static constexpr bool numbers_unique() { return all_unique(numbers().data(), kNumberCount); }
  constexpr bool names_unique() const { return all_unique(entries.data(), entries.size()); }
  static constexpr bool fields_travel() { return (entry_travels<Entries>() && ...); }

  // Of an aggregate without bases: nothing else can be counted.
  static constexpr bool members_described() {
    if constexpr (std::is_aggregate_v<T> && !requires { T::kStaysInProcess; })
      return !takes_members<T>(std::make_index_sequence<kFieldCount + 1>{});
    return true;
  }

  constexpr std::array<FieldDescription, kFieldCount> fields() const {
    static_assert(std::is_default_constructible_v<T>, "a described struct is default constructible");
    std::array<FieldDescription, kFieldCount> fields{};
    std::size_t count = 0;
    std::size_t i = 0;
    auto add = [&](bool is_field, std::int64_t number, const ValueType* type) {
      const ListedField& entry = entries[i++];
      if (is_field)
        insert_field(
            fields.data(), count,
            {.number = static_cast<std::uint32_t>(number), .name = entry.name, .offset = entry.offset, .type = type});
    };
    (add(Entries::kIsField, Entries::kIsField ? *Entries::kNumbers.data() : 0, entry_type<Entries>()), ...);
    return fields;
  }

  static constexpr std::array<std::uint32_t, kReservedCount> reserved() {
    std::array<std::uint32_t, kReservedCount> numbers{};
    std::size_t count = 0;
    for (const ListedNumber& listed : MessageListing::numbers())
      if (listed.reserved) insert_number(numbers.data(), count, static_cast<std::uint32_t>(listed.number));
    return numbers;
  }
};

template <class T, std::size_t N>
struct EnumListing {
  std::string_view name;
  std::array<EnumValue, N> values;

  constexpr bool entries_unique() const {
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const EnumValue& a = values[i];
        const EnumValue& b = values[j];
        if (a.number == b.number || a.name == b.name || a.value == b.value) return false;
      }
    }
    return true;
  }
};

template <class T, class... Entries>
constexpr MessageListing<T, Entries...> list_message(std::string_view token, Entries... entries) {
  static_assert((std::size_t{0} + ... + (Entries::kIsField ? 1 : 0)) <= kFieldsMax, "at most kFieldsMax fields");
  return {registered_name(token), {ListedField{entries.name, entries.offset}...}};
}

template <class T, class... Values>
constexpr EnumListing<T, sizeof...(Values)> list_enum(std::string_view token, Values... values) {
  static_assert(std::is_enum_v<T>, "PLX_ENUM describes an enum");
  static_assert(sizeof...(Values) > 0, "PLX_ENUM needs an enumerator");
  return {registered_name(token), {values...}};
}

template <class X>
inline constexpr bool kIsOptional = false;
template <class X>
inline constexpr bool kIsOptional<std::optional<X>> = true;
template <class X>
inline constexpr bool kIsList = false;
template <class X>
inline constexpr bool kIsList<std::vector<X>> = true;

}  // namespace detail

/// A struct with PLX_MESSAGE.
template <class T>
concept Described = std::is_class_v<T> && requires { plx_describe(std::type_identity<T>{}); };

/// An enum with PLX_ENUM.
template <class T>
concept DescribedEnum = std::is_enum_v<T> && requires { plx_describe(std::type_identity<T>{}); };

namespace detail {

// What opens a type that describes itself in another way: codec/protobuf.hpp specialises it with kKnown = true and
// `static const ValueType& get()`.
template <class T>
struct OpaqueTraits {
  static constexpr bool kKnown = false;
};

template <class T>
inline constexpr auto kListing = plx_describe(std::type_identity<T>{});

template <class T>
constexpr ValueKind kind_of() {
  if constexpr (std::is_void_v<T>) {
    return ValueKind::kVoid;
  } else if constexpr (std::is_same_v<T, bool>) {
    return ValueKind::kBool;
  } else if constexpr (std::is_same_v<T, float>) {
    return ValueKind::kFloat;
  } else if constexpr (std::is_same_v<T, double>) {
    return ValueKind::kDouble;
  } else if constexpr (std::is_same_v<T, int> || (std::is_same_v<T, long> && sizeof(long) == 4)) {
    return ValueKind::kInt32;
  } else if constexpr (std::is_same_v<T, unsigned> || (std::is_same_v<T, unsigned long> && sizeof(long) == 4)) {
    return ValueKind::kUint32;
  } else if constexpr (std::is_same_v<T, long> || std::is_same_v<T, long long>) {
    return ValueKind::kInt64;
  } else if constexpr (std::is_same_v<T, unsigned long> || std::is_same_v<T, unsigned long long>) {
    return ValueKind::kUint64;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return ValueKind::kString;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return ValueKind::kBytes;
  } else if constexpr (kIsOptional<T>) {
    return ValueKind::kOptional;
  } else if constexpr (kIsList<T>) {
    return ValueKind::kList;
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(DescribedEnum<T>, "this enum has no PLX_ENUM in its namespace");
    return ValueKind::kEnum;
  } else {
    static_assert(Described<T>,
                  "not a type whose values can travel: a struct needs PLX_MESSAGE in its namespace, a protobuf class "
                  "codec/protobuf.hpp; numbers are bool, std::int32_t, std::int64_t, unsigned ones, float and double");
    return ValueKind::kMessage;
  }
}

template <class T>
struct ValueTypeObject;

template <class Entry>
constexpr const ValueType* entry_type() {
  if constexpr (Entry::kIsField) {
    using Member = typename Entry::Member;
    static_assert(!OpaqueTraits<Member>::kKnown, "a protobuf message travels as a whole, not as a field of a struct");
    return &ValueTypeObject<Member>::kObject;
  } else {
    return nullptr;
  }
}

template <class T>
inline constexpr auto kFields = kListing<T>.fields();
template <class T>
inline constexpr auto kReserved = kListing<T>.reserved();

// Which fields of T its default constructor leaves uninitialised.
template <class T>
bool requires_field(std::size_t index);

template <class T>
inline constexpr MessageDescription kMessageDescription{.name = kListing<T>.name,
                                                        .fields = kFields<T>,
                                                        .reserved = kReserved<T>,
                                                        .requires_field = requires_field<T>,
                                                        .type = &ValueTypeObject<T>::kObject};

FieldSet uninitialised_fields(const MessageDescription& message, void (*default_initialise)(void* at));

template <class T>
bool requires_field(std::size_t index) {
  static const FieldSet kRequired =
      uninitialised_fields(kMessageDescription<T>, +[](void* at) { ::new (at) T; });  // not T(): that writes zeros
  return kRequired.test(index);
}

template <class T>
inline constexpr EnumDescription kEnumDescription{
    .name = kListing<T>.name, .values = kListing<T>.values, .is_signed = std::is_signed_v<std::underlying_type_t<T>>};

inline constexpr bool kBools[2] = {false, true};

template <class List>
struct ListOperationsOf {
  using Element = typename List::value_type;
  static constexpr bool kOfBool = std::is_same_v<Element, bool>;

  static std::size_t size(const void* list) { return static_cast<const List*>(list)->size(); }
  static const void* at(const void* list, std::size_t index) {
    const List& values = *static_cast<const List*>(list);
    if constexpr (kOfBool) {
      return &kBools[values[index] ? 1 : 0];
    } else {
      return &values[index];
    }
  }
  static void clear(void* list) { static_cast<List*>(list)->clear(); }
  static void* append(void* list) {
    if constexpr (kOfBool) {
      return nullptr;
    } else {
      return &static_cast<List*>(list)->emplace_back();
    }
  }
  static void append_bool(void* list, bool value) {
    if constexpr (kOfBool) static_cast<List*>(list)->push_back(value);
  }

  static constexpr ListOperations kObject{.size = size,
                                          .at = at,
                                          .clear = clear,
                                          .append = kOfBool ? nullptr : append,
                                          .append_bool = kOfBool ? append_bool : nullptr};
};

template <class Optional>
struct OptionalOperationsOf {
  static const void* get(const void* optional) {
    const Optional& value = *static_cast<const Optional*>(optional);
    return value ? static_cast<const void*>(&*value) : nullptr;
  }
  static void* emplace(void* optional) { return &static_cast<Optional*>(optional)->emplace(); }
  static void clear(void* optional) { static_cast<Optional*>(optional)->reset(); }

  static constexpr OptionalOperations kObject{.get = get, .emplace = emplace, .clear = clear};
};

template <class T>
constexpr std::string_view simple_name() {
  switch (kind_of<T>()) {
    case ValueKind::kVoid:
      return "void";
    case ValueKind::kBool:
      return "bool";
    case ValueKind::kInt32:
      return "int32";
    case ValueKind::kInt64:
      return "int64";
    case ValueKind::kUint32:
      return "uint32";
    case ValueKind::kUint64:
      return "uint64";
    case ValueKind::kFloat:
      return "float";
    case ValueKind::kDouble:
      return "double";
    case ValueKind::kString:
      return "string";
    case ValueKind::kBytes:
      return "bytes";
    default:
      break;
  }
  if constexpr (Described<T> || DescribedEnum<T>) return kListing<T>.name;
  return {};
}

template <class Element, bool IsList>
struct ComposedName {
  static constexpr std::string_view kOuter = IsList ? "list<" : "optional<";
  static constexpr auto kText = [] {
    std::array<char, kOuter.size() + simple_name<Element>().size() + 1> text{};
    std::size_t at = 0;
    for (char c : kOuter) text[at++] = c;
    for (char c : simple_name<Element>()) text[at++] = c;
    text[at] = '>';
    return text;
  }();
};

template <class T>
constexpr std::string_view name_of() {
  if constexpr (kIsList<T> || kIsOptional<T>) {
    constexpr const auto& kText = ComposedName<typename T::value_type, kIsList<T>>::kText;
    return {kText.data(), kText.size()};
  } else {
    return simple_name<T>();
  }
}

template <class T>
struct LifeCycle {
  static void construct(void* at) { ::new (at) T(); }
  static void destroy(void* value) { static_cast<T*>(value)->~T(); }
  static void move_construct(void* to, void* from) { ::new (to) T(std::move(*static_cast<T*>(from))); }
  static void copy_construct(void* to, const void* from) {
    if constexpr (std::is_copy_constructible_v<T>) ::new (to) T(*static_cast<const T*>(from));
  }
  static void reset(void* value) { *static_cast<T*>(value) = T(); }
};

template <>
struct LifeCycle<void> {
  static void construct(void*) {}
  static void destroy(void*) {}
  static void move_construct(void*, void*) {}
  static void copy_construct(void*, const void*) {}
  static void reset(void*) {}
};

// The members that every kind of type has. Not constexpr-only: a protobuf class fills in its name at run time.
template <class T>
constexpr ValueType describe_life_cycle() {
  ValueType type;
  type.construct = LifeCycle<T>::construct;
  type.destroy = LifeCycle<T>::destroy;
  type.move_construct = LifeCycle<T>::move_construct;
  type.reset = LifeCycle<T>::reset;
  if constexpr (std::is_void_v<T>) {
    type.copy_construct = LifeCycle<T>::copy_construct;
  } else {
    type.size = sizeof(T);
    type.align = alignof(T);
    type.trivially_relocatable = std::is_trivially_copyable_v<T>;
    type.trivially_destructible = std::is_trivially_destructible_v<T>;
    type.copy_construct = std::is_copy_constructible_v<T> ? LifeCycle<T>::copy_construct : nullptr;
  }
  return type;
}

template <class T>
constexpr ValueType make_value_type() {
  ValueType type = describe_life_cycle<T>();
  type.kind = kind_of<T>();
  type.name = name_of<T>();
  if constexpr (kIsList<T> || kIsOptional<T>) {
    using Element = typename T::value_type;
    static_assert(!kIsList<Element> && !kIsOptional<Element> && !OpaqueTraits<Element>::kKnown,
                  "a vector or optional holds scalars, enums, text, Bytes or described structs; wrap it in a struct");
    type.element = &ValueTypeObject<Element>::kObject;
    if constexpr (kIsList<T>) {
      type.list = &ListOperationsOf<T>::kObject;
    } else {
      type.optional = &OptionalOperationsOf<T>::kObject;
    }
  } else if constexpr (DescribedEnum<T>) {
    type.enumeration = &kEnumDescription<T>;
  } else if constexpr (Described<T>) {
    type.message = &kMessageDescription<T>;
  }
  return type;
}

// A class, so that types which contain themselves (a tree of vectors) may name each other's objects.
template <class T>
struct ValueTypeObject {
  static const ValueType kObject;
};
template <class T>
constinit inline const ValueType ValueTypeObject<T>::kObject = make_value_type<T>();

}  // namespace detail

/// The type-erased description of T. Its address is the same in the whole program.
/// T is a described struct, bool, a 32- or 64-bit integer, float, double, std::string, Bytes, a described enum,
/// std::optional or std::vector of one of these, void ("no reply"), or, with codec/protobuf.hpp, a protobuf class.
template <class T>
const ValueType& value_type_of() {
  if constexpr (detail::OpaqueTraits<T>::kKnown) {
    return detail::OpaqueTraits<T>::get();
  } else {
    return detail::ValueTypeObject<T>::kObject;
  }
}

template <Described T>
constexpr const MessageDescription& description_of() {
  return detail::kMessageDescription<T>;
}

/// What can be sent to an actor: a described struct or, with codec/protobuf.hpp, a protobuf class.
template <class T>
concept MessageType = Described<T> || detail::OpaqueTraits<T>::kKnown;

namespace detail {
// For assertions: a concept that fails is explained in many lines.
template <class T>
inline constexpr bool kIsMessage = MessageType<T>;
}  // namespace detail

/// The type of the answer to message M; specialised by PLX_PROTOBUF_MESSAGE for classes that cannot say it themselves.
template <class M>
struct ReplyTrait {
  using type = void;
};
template <class M>
  requires requires { typename M::Reply; }
struct ReplyTrait<M> {
  using type = typename M::Reply;
};

/// M::Reply, or void: no reply.
template <class M>
using ReplyOf = typename ReplyTrait<M>::type;

}  // namespace plexspaces
